package reservation_test

import (
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/reservation"
)

// word is a row of the table in the package comment, and what shows that it is true.
type word struct {
	row  string // whose it is, and what they call it
	show func(d *desk)
}

// TestWordsOfOthers runs what each row of the table in the package comment says, and
// holds the rows to the table.
func TestWordsOfOthers(t *testing.T) {
	words := []word{
		{"Slurm: ReservationName, Users or Accounts", showOwners},
		{"Slurm: Flags=DAILY, WEEKLY", showRepeat},
		{"Slurm: Flags=MAINT", showMaintenance},
		{"Slurm: scontrol delete, unless in use", showRelease},
		{"Slurm: backfill by time limits", showBackfill},
		{"Rayon: a reservation over time", showWindow},
		{"Rayon: unused capacity, lent until used", showLending},
		{"Kubernetes: cordon and drain", showDrain},
		{"Kubernetes: ResourceClaim of named devices", showDevices},
		{"Kueue: preemption by priority", showPriority},
	}
	var rows []string
	for _, w := range words {
		rows = append(rows, w.row)
		t.Run(w.row, func(t *testing.T) { w.show(newDesk(t)) })
	}
	require.Equal(t, wordsInDoc(t), rows)
}

// wordsInDoc returns the rows of the table in the package comment.
func wordsInDoc(t *testing.T) (rows []string) {
	t.Helper()
	text, err := os.ReadFile("doc.go")
	require.NoError(t, err)
	_, table, found := strings.Cut(string(text), "// # Words of others\n//\n")
	require.True(t, found)
	table, _, _ = strings.Cut(table, "//\n")
	columns := regexp.MustCompile(` {2,}`)
	for line := range strings.Lines(table) {
		row := columns.Split(strings.TrimSpace(strings.TrimPrefix(line, "//")), -1)
		require.Len(t, row, 3, line)
		rows = append(rows, row[0]+": "+row[1])
	}
	return rows
}

// A reservation has a name, and those whom it names may use it.
func showOwners(d *desk) {
	s := spec("training", 8)
	s.Owners = []string{"physics", "chemistry"}
	d.reserve(s)
	job := request("job", 4)
	for owner, may := range map[string]bool{"physics": true, "biology": false} {
		job.ID, job.Namespace = owner, owner
		_, _, err := d.Claim("training", job)
		require.Equal(d.t, may, err == nil, owner)
	}
}

func showRepeat(d *desk) {
	for every, days := range map[reservation.Period]int{reservation.Daily: 1, reservation.Weekly: 7} {
		s := spec(string(every), 1)
		s.Repeat = reservation.Repeat{Every: every, Until: d.clock.AddDate(0, 0, 8)}
		d.reserve(s)
		second := d.lookup(string(every) + "@" + d.clock.AddDate(0, 0, days).Format(time.DateOnly))
		require.Equal(d.t, d.clock.AddDate(0, 0, days), second.Params.Start)
	}
}

// It may be made over what is reserved already, and nothing is started in it.
func showMaintenance(d *desk) {
	d.reserve(d.during("important", 8, 60, 90))
	d.reserve(d.maintenance("repair", 60))
	d.at(60)
	require.ErrorIs(d.t, d.claim("important", "i", 1), reservation.ErrState)
	d.unchanged(reservation.ErrRefused, func() error { _, err := d.Place(request("i", 1)); return err })
}

func showRelease(d *desk) {
	d.reserve(spec("r", 8))
	require.NoError(d.t, d.claim("r", "i", 1))
	d.unchanged(reservation.ErrInUse, func() error { return d.Release("r", false) })
	require.NoError(d.t, d.Unclaim("i"))
	require.NoError(d.t, d.Release("r", false))
}

// A job whose time limit ends before a reservation begins runs before it.
func showBackfill(d *desk) {
	d.reserve(d.during("r", 8, 60, 120))
	d.unchanged(reservation.ErrRefused, func() error { _, err := d.Place(lasting("long", 8, 61)); return err })
	d.place(lasting("short", 8, 60))
}

// What is reserved at one time does not count at another.
func showWindow(d *desk) {
	d.reserve(d.during("first", 8, 0, 60))
	later := spec("second", 8)
	later.Start = d.second(60)
	d.reserve(later)
	d.unchanged(reservation.ErrRefused, func() error { _, err := d.Reserve(d.during("between", 1, 59, 61)); return err })
}

func showLending(d *desk) {
	d.reserve(lending("r", 8))
	d.place(yielding("guest", 8))
	require.ErrorIs(d.t, d.claim("r", "owner", 8), reservation.ErrWaiting)
	require.NoError(d.t, d.Remove("guest"))
	require.NoError(d.t, d.claim("r", "owner", 8))
}

// The node takes nothing new, and what runs there is asked to leave; nothing is
// stopped.
func showDrain(d *desk) {
	d.place(yielding("i", 1))
	d.reserve(d.maintenance("repair", 10))
	require.Equal(d.t, []reservation.EventKind{reservation.Closing, reservation.YieldDue}, d.kinds())
	d.unchanged(reservation.ErrRefused, func() error { _, err := d.Place(request("late", 1)); return err })
	require.NoError(d.t, d.Remove("i"))
}

func showDevices(d *desk) {
	n := node("n2", 8)
	n.Devices.Count = 2
	require.NoError(d.t, d.SetNode(n))
	s := spec("r", 0)
	s.Shape = placement.Resources{GPU: 2 * placement.Device}
	d.reserve(s)
	r := d.lookup("r")
	require.Equal(d.t, []int{0, 1}, r.Slots[0].Devices)
	req := placement.Request{ID: "i", Namespace: "team", Resources: placement.Resources{GPU: placement.Device}}
	_, claim, err := d.Claim("r", req)
	require.NoError(d.t, err)
	require.Equal(d.t, []int{0}, claim.Devices)
}

// Only who holds and does not run gives way.
func showPriority(d *desk) {
	d.reserve(spec("low", 8))
	high := spec("high", 8)
	high.Priority = 1
	require.NoError(d.t, d.claim("low", "i", 1))
	d.unchanged(reservation.ErrRefused, func() error { _, err := d.Reserve(high); return err })
	require.NoError(d.t, d.Unclaim("i"))
	d.reserve(high)
	require.Equal(d.t, reservation.Displaced, d.state("low"))
}
