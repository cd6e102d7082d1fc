package scheduler

import (
	"errors"
	"fmt"

	"github.com/rads-project/constellation/internal/codec"
	"github.com/rads-project/constellation/internal/index"
	"github.com/rads-project/constellation/placement"
)

// replayer brings a state through records.
type replayer struct {
	cfg       Config
	st        *state
	coder     codec.Coder
	restoring *restorer // from a snapshot of which parts are missing, or nil
	latest    *entry    // that was replayed
	read      CheckpointStats

	// classes of rules that were found valid, which the coder shares
	classes map[*placement.Request]*index.Class
}

// mostClasses bounds how many are kept.
const mostClasses = 4096

// replay brings the state through one record.
func (p *replayer) replay(r Record) (err error) {
	defer func() {
		if broken, ok := errors.AsType[*InvariantError](err); ok {
			err = &FormatError{r.Seq, broken.Error()}
		}
	}()
	defer p.st.recoverBroken(&err)
	switch {
	case r.Kind == RecordSnapshot || r.Kind == RecordSnapshotPart:
		return p.snapshot(r)
	case p.restoring != nil:
		return p.end()
	case r.Kind == RecordEntry:
		return p.entry(r)
	default:
		return &FormatError{r.Seq, fmt.Sprintf("unknown kind %d", r.Kind)}
	}
}

// end refuses records that end, or go on, within a snapshot.
func (p *replayer) end() error {
	if p.restoring == nil {
		return nil
	}
	return &FormatError{p.restoring.seq, fmt.Sprintf("snapshot ends before part %d", p.restoring.parts.next.number)}
}

func (p *replayer) entry(r Record) error {
	e, err := decodeEntry(&p.coder, r)
	if err != nil {
		return err
	}
	if e.seq != p.st.seq+1 {
		return &FormatError{r.Seq, fmt.Sprintf("follows record %d", p.st.seq)}
	}
	for _, c := range e.changes {
		if placed, ok := c.(*Placed); ok {
			placed.class = p.classes[placed.rules]
		}
	}
	if err := p.st.replayEntry(e); err != nil {
		return &FormatError{r.Seq, err.Error()}
	}
	p.latest = e
	p.read.Entries++
	p.read.Bytes += int64(len(r.Data))
	for _, c := range e.changes {
		if placed, ok := c.(*Placed); ok && placed.class == nil {
			p.learn(placed)
		}
	}
	return nil
}

// learn notes the class of the rules of a placement that was found valid.
func (p *replayer) learn(c *Placed) {
	if len(p.classes) >= mostClasses || p.classes == nil {
		p.classes = make(map[*placement.Request]*index.Class)
	}
	if a := p.st.generation(c.ID, c.Generation); a != nil {
		p.classes[c.rules] = a.class
	}
}

// replayEntry brings the state through an entry that was applied before, with its
// consequences in it. It refuses one that the state cannot follow.
func (st *state) replayEntry(e *entry) error {
	if e.time.Before(st.now) {
		return fmt.Errorf("time %s is before %s", e.time, st.now)
	}
	out := new(outcome)
	st.begin(e, out)
	for _, c := range e.changes {
		if err := c.check(st); err != nil {
			return err
		}
		st.step(c, out)
	}
	return nil
}

// snapshot restores another state, part by part, which takes the place of the
// present one when it is complete.
func (p *replayer) snapshot(r Record) error {
	if p.restoring == nil {
		if r.Seq < p.st.seq {
			return &FormatError{r.Seq, fmt.Sprintf("follows record %d", p.st.seq)}
		}
		p.restoring = &restorer{st: newState(p.cfg), seq: r.Seq}
	}
	restored := p.restoring
	err := restored.parts.read(r, func(_ itemKind, item snapshotItem) error {
		if err := item.restore(restored); err != nil {
			return &FormatError{r.Seq, err.Error()}
		}
		return nil
	})
	restored.bytes += int64(len(r.Data))
	if err != nil || r.Kind == RecordSnapshotPart {
		return err
	}
	if err := restored.end(); err != nil {
		return &FormatError{r.Seq, err.Error()}
	}
	p.st, p.restoring, p.classes = restored.st, nil, nil
	p.read = CheckpointStats{Snapshot: restored.bytes}
	return nil
}
