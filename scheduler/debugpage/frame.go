package debugpage

import (
	"context"
	"html/template"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/raft"
)

// frame is how things stand but for the lists: all viewers see the same.
type frame struct {
	at    time.Time
	cost  time.Duration // of making it
	stamp uint64
	told  told
	shown shown
	parts map[string]string // as HTML
}

// sharedFrame is the frame of all viewers, and since when the leader has been seen to
// lead.
type sharedFrame struct {
	mu    sync.Mutex
	frame *frame
	leads leading
	cells sharedCells

	explained map[string]explained // by the ID of what waits
}

// leading is who leads in a term, since the page has first seen it.
type leading struct {
	term   uint64
	leader string
	since  time.Time
}

// frame returns how things stand now. For a quarter of a second, or longer where it takes
// long to make, it is the same unless something else has changed than counters.
func (p *Page) frame(ctx context.Context, l *lists) *frame {
	sum := p.summary(l)
	next := sum.told()
	p.shared.mu.Lock()
	defer p.shared.mu.Unlock()
	now := p.cfg.Now()
	if f := p.shared.frame; f != nil && f.stamp == l.stamp && f.told.equal(next) && now.Sub(f.at) < max(maxAge/2, workShare*f.cost) && !now.Before(f.at) {
		return f
	}
	start := time.Now()
	refused, _ := p.refused(ctx, l.of) // what cannot be read is told as a problem
	s := shown{
		Prefix: p.cfg.Prefix, Summary: sum, AsOf: l.at, Lag: sum.Stats.Version - min(sum.Stats.Version, sum.Stats.Durable),
		Election: p.election(), Refused: p.waiting(ctx, l.of, refused), Later: max(0, len(refused)-maxWaiting), Causes: causesOf(refused), Axis: l.window,
		Trend: make(map[placement.ResourceName]string),
	}
	for _, of := range sum.Supplies {
		s.Trend[of.Resource] = p.trend.points(now, of.Resource)
	}
	if s.Election != nil {
		s.Members, s.Answering = p.members(s.Election)
		s.Reign = p.shared.leads.seen(now, s.Election)
	}
	f := &frame{at: now, stamp: l.stamp, told: next, shown: s, parts: make(map[string]string)}
	for _, part := range parts() {
		var text strings.Builder
		if err := p.page.ExecuteTemplate(&text, part, s); err != nil {
			text.Reset()
			text.WriteString(template.HTMLEscapeString(err.Error()))
		}
		f.parts[part] = text.String()
	}
	f.cost = time.Since(start)
	p.shared.frame = f
	return f
}

// seen says for how long the leader has led. Only that itself knows: others say for how
// long the page has seen it.
func (l *leading) seen(now time.Time, s *raft.Status) string {
	if s.Leader == "" {
		return ""
	}
	if l.term != s.Term || l.leader != s.Leader {
		*l = leading{s.Term, s.Leader, now}
	}
	if s.Reign > 0 {
		return s.Reign.Truncate(time.Second).String()
	}
	return now.Sub(l.since).Truncate(time.Second).String() + " or longer"
}

// memberRow is a member of the election, as the page shows it.
type memberRow struct {
	raft.Member
	Is        string
	RoundTrip string // what is not known is empty
	Dropped   string
	Failures  string
	Failing   bool
}

// members are those of the election, and how many of them answer, if that is known.
func (p *Page) members(s *raft.Status) (all []memberRow, answering string) {
	peers := make(map[string]int)
	var stats []memberRow
	if p.cfg.Transport != nil {
		for i, peer := range p.cfg.Transport().Peers {
			m := memberRow{Dropped: strconv.FormatUint(peer.Dropped.Total(), 10), Failures: strconv.FormatUint(peer.Failures, 10)}
			if peer.RoundTrip > 0 {
				m.RoundTrip = peer.RoundTrip.Round(time.Microsecond).String()
			}
			if m.Failing = peer.LastError != nil; m.Failing {
				m.Failures += ": " + peer.LastError.Error()
			}
			peers[peer.Peer], stats = i, append(stats, m)
		}
	}
	answer := 0
	for _, of := range s.Configuration.Members {
		var m memberRow
		i, known := peers[of.ID]
		if known {
			m = stats[i]
		}
		m.Member, m.Is = of, memberIs(s, of)
		if of.ID == s.ID || known && !m.Failing {
			answer++
		}
		all = append(all, m)
	}
	if p.cfg.Transport != nil {
		answering = strconv.Itoa(answer) + " of " + strconv.Itoa(len(all))
	}
	return all, answering
}

func memberIs(s *raft.Status, m raft.Member) string {
	var is []string
	if m.ID == s.Leader {
		is = append(is, "leader")
	}
	switch {
	case m.Witness:
		is = append(is, "witness")
	case !m.Voter:
		is = append(is, "listens only")
	case m.ID != s.Leader:
		is = append(is, "voter")
	}
	if m.ID == s.ID {
		is = append(is, "this one")
	}
	return strings.Join(is, ", ")
}

// told is what a viewer has been told: if any of it is another, it is told again.
type told struct {
	version  uint64
	term     uint64
	leader   string
	role     string
	problems []string
}

func (s Summary) told() told { return told{s.Stats.Version, s.Term, s.Leader, s.Role, s.Problems} }

func (t told) equal(other told) bool {
	return t.version == other.version && t.term == other.term && t.leader == other.leader && t.role == other.role &&
		slices.Equal(t.problems, other.problems)
}
