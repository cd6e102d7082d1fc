package reservation_test

import (
	"encoding/json"
	"math"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/reservation"
)

func TestBadInput(t *testing.T) {
	d := newDesk(t)
	d.at(100)
	d.reserve(spec("taken", 1))
	tests := []struct {
		name   string
		change func(*reservation.Spec)
		field  string
	}{
		{"no count", func(s *reservation.Spec) { s.Count = 0 }, "count"},
		{"negative count", func(s *reservation.Spec) { s.Count = -1 }, "count"},
		{"too many", func(s *reservation.Spec) { s.Count = reservation.MaxCount + 1 }, "count"},
		{"no shape", func(s *reservation.Spec) { s.Shape = cores(0) }, "shape"},
		{"negative shape", func(s *reservation.Spec) { s.Shape.CPU = -1 }, ""},
		{"shape times count", func(s *reservation.Spec) { s.Shape.Disk, s.Count = math.MaxInt64, 2 }, "shape"},
		{"one and a half GPUs", func(s *reservation.Spec) { s.Shape.GPU = 1500 }, ""},
		{"no duration", func(s *reservation.Spec) { s.Duration = 0 }, "duration"},
		{"negative duration", func(s *reservation.Spec) { s.Duration = -1 }, "duration"},
		{"endless duration", func(s *reservation.Spec) { s.Duration = math.MaxInt64 }, "duration"},
		{"duration and end", func(s *reservation.Spec) { s.End = d.second(200) }, "end"},
		{"end in the past", func(s *reservation.Spec) { s.Duration, s.End = 0, d.second(99) }, "end"},
		{"end now", func(s *reservation.Spec) { s.Duration, s.End = 0, d.second(100) }, "end"},
		{"end before start", func(s *reservation.Spec) { s.Start, s.Duration, s.End = d.second(300), 0, d.second(200) }, "end"},
		{"over before now", func(s *reservation.Spec) { s.Start = d.second(10) }, "end"},
		{"far start", func(s *reservation.Spec) { s.Start = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC) }, "start"},
		{"far end", func(s *reservation.Spec) { s.Duration, s.End = 0, time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC) }, "end"},
		{"grace without evict", func(s *reservation.Spec) { s.Grace = 1 }, "grace"},
		{"negative grace", func(s *reservation.Spec) { s.AtEnd, s.Grace = reservation.Evict, -1 }, "grace"},
		{"endless grace", func(s *reservation.Spec) { s.AtEnd, s.Grace = reservation.Evict, math.MaxInt64 }, "end"},
		{"negative notice", func(s *reservation.Spec) { s.Notice = -1 }, "notice"},
		{"unknown ending", func(s *reservation.Spec) { s.AtEnd = 9 }, "atEnd"},
		{"unknown node", func(s *reservation.Spec) { s.Node = "n9" }, "node"},
		{"empty owner", func(s *reservation.Spec) { s.Owners = []string{""} }, "owners"},
		{"owner twice", func(s *reservation.Spec) { s.Owners = []string{"a", "a"} }, "owners"},
		{"bad rule", func(s *reservation.Spec) {
			s.Preferences = placement.Preferences{}.Require(placement.In("zone"))
		}, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			d.t = t
			bad := spec("r", 1)
			test.change(&bad)
			d.unchanged(reservation.ErrInvalid, func() error {
				_, err := d.Reserve(bad)
				var invalid *placement.InvalidError
				if test.field != "" {
					require.ErrorAs(t, err, &invalid)
					require.Equal(t, test.field, invalid.Field, "%v", err)
					require.NotContains(t, err.Error(), "\n", "one mistake")
				}
				return err
			})
		})
	}
}

func TestBadCalls(t *testing.T) {
	d := newDesk(t)
	d.reserve(spec("r", 1))
	tests := []struct {
		name string
		want error
		call func() error
	}{
		{"claim without ID", reservation.ErrInvalid, func() error { return d.claim("r", "", 1) }},
		{"claim from nothing", reservation.ErrNotFound, func() error { return d.claim("x", "i", 1) }},
		{"place without ID", reservation.ErrInvalid, func() error { _, err := d.Place(request("", 1)); return err }},
		{"place for ever and a day", reservation.ErrInvalid, func() error {
			_, err := d.Place(placement.Request{ID: "i", Duration: math.MaxInt64})
			return err
		}},
		{"claim for ever and a day", reservation.ErrInvalid, func() error {
			_, _, err := d.Claim("r", placement.Request{ID: "i", Namespace: "team", Duration: math.MaxInt64})
			return err
		}},
		{"unclaim nothing", reservation.ErrNotFound, func() error { return d.Unclaim("i") }},
		{"remove nothing", reservation.ErrNotFound, func() error { return d.Remove("i") }},
		{"release nothing", reservation.ErrNotFound, func() error { return d.Release("x", true) }},
		{"extend nothing", reservation.ErrNotFound, func() error { _, err := d.Extend("x", d.second(9)); return err }},
		{"extend out of range", reservation.ErrInvalid, func() error {
			_, err := d.Extend("r", time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC))
			return err
		}},
		{"look at nothing", reservation.ErrNotFound, func() error { _, err := d.Reservation("x"); return err }},
		{"bad node", reservation.ErrInvalid, func() error { return d.SetNode(placement.Node{}) }},
		{"remove unknown node", reservation.ErrNotFound, func() error { return d.RemoveNode("x") }},
		{"use unknown node", reservation.ErrNotFound, func() error { return d.SetUsed("x", placement.Amounts{}) }},
		{"use less than nothing", reservation.ErrInvalid, func() error {
			return d.SetUsed("n1", placement.Amounts{Instances: -1})
		}},
		{"use GPUs that are not there", reservation.ErrInvalid, func() error {
			return d.SetUsed("n1", placement.Amounts{}, 100)
		}},
		{"free of unknown node", reservation.ErrNotFound, func() error {
			_, err := d.Free("x", reservation.Window{})
			return err
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			d.t = t
			d.unchanged(test.want, test.call)
		})
	}
}

// TestNotFound: what is not known is named, with what was looked for.
func TestNotFound(t *testing.T) {
	d := newDesk(t)
	tests := []struct {
		kind placement.Kind
		call func() error
	}{
		{"reservation", func() error { _, err := d.Reservation("x"); return err }},
		{"reservation", func() error { return d.claim("x", "i", 1) }},
		{"reservation", func() error { return d.Release("x", true) }},
		{"instance", func() error { return d.Unclaim("x") }},
		{"instance", func() error { return d.Remove("x") }},
		{"node", func() error { return d.RemoveNode("x") }},
		{"node", func() error { return d.SetUsed("x", placement.Amounts{}) }},
		{"node", func() error { _, err := d.Free("x", reservation.Window{}); return err }},
	}
	for _, test := range tests {
		d.unchanged(reservation.ErrNotFound, func() error {
			err := test.call()
			require.Equal(t, placement.NotFound(test.kind, "x"), err)
			require.EqualError(t, err, "placement: "+string(test.kind)+` "x" not found`)
			return err
		})
	}
}

// TestExtendToNowhere: no end is no new end, as for a scheduler; it would else
// be a new version of the same parameters.
func TestExtendToNowhere(t *testing.T) {
	d := newDesk(t)
	d.reserve(spec("r", 8))
	d.unchanged(reservation.ErrInvalid, func() error {
		_, err := d.Extend("r", time.Time{})
		return err
	})
}

func TestBookRefusesRulesThatItCanNotKeep(t *testing.T) {
	d := newDesk(t)
	tests := []placement.Preferences{
		placement.Use(placement.Spread),
		placement.Preferences{}.Prefer(placement.Exists("ssd"), 5),
		placement.Preferences{}.PreferScaled("load", 5),
		placement.Preferences{}.Near(placement.Repel(placement.Exists("noisy"))),
		placement.Preferences{}.Across(placement.EvenlyOver("zone", 1).Weighing(5)),
	}
	for _, rules := range tests {
		s := spec("r", 1)
		s.Preferences = rules
		d.unchanged(reservation.ErrInvalid, func() error {
			_, err := d.Reserve(s)
			return err
		})
		req := request("i", 1)
		req.Preferences = rules
		d.unchanged(reservation.ErrInvalid, func() error {
			_, err := d.Place(req)
			return err
		})
		d.unchanged(reservation.ErrInvalid, func() error {
			_, _, err := d.Claim("r", req)
			return err
		})
	}
}

// TestMistakesAreReportedAtOnce: one call tells of all that is wrong.
func TestMistakesAreReportedAtOnce(t *testing.T) {
	d := newDesk(t)
	_, err := d.Reserve(reservation.Spec{
		ID: "r", Shape: placement.Resources{}, Count: -1, Node: "n9", Duration: -1, Grace: -1, Notice: -1,
		Owners: []string{""}, AtEnd: 9,
	})
	require.ErrorIs(t, err, reservation.ErrInvalid)
	for _, field := range []string{"shape", "count", "node", "duration", "grace", "notice", "owners", "atEnd"} {
		require.Regexp(t, "(?m)^placement: invalid "+field+"[ :]", err.Error())
	}
	_, err = d.Reserve(reservation.Spec{Shape: placement.Resources{CPU: -1}, Count: -1, Duration: 1})
	require.ErrorContains(t, err, "placement: invalid shape.cpu")
	require.ErrorContains(t, err, "placement: invalid count")
}

// TestMistakesOfPlacement: what package placement finds comes with all else,
// with its path in the whole.
func TestMistakesOfPlacement(t *testing.T) {
	d := newDesk(t)
	soft := placement.Use(placement.Spread).Prefer(placement.Equal("", "v"), 0)
	bad := placement.Request{Resources: placement.Resources{CPU: -1}, Preferences: soft}
	tests := []struct {
		name  string
		call  func() error
		texts []string
	}{
		{"reserve", func() error {
			_, err := d.Reserve(reservation.Spec{Shape: placement.Resources{GPU: 1001}, Count: 1, Duration: -1, Preferences: soft})
			return err
		}, []string{"preferences.strategy", "preferences.preferred", "preferences.preferred[0].constraint", "preferences.preferred[0].weight", "shape.gpu", "duration"}},
		{"claim", func() error { _, _, err := d.Claim("r", bad); return err }, []string{"preferences.strategy", "preferences.preferred", "id", "resources.cpu", "preferences.preferred[0].constraint", "preferences.preferred[0].weight"}},
		{"place", func() error { _, err := d.Place(bad); return err }, []string{"preferences.strategy", "preferences.preferred", "id", "resources.cpu", "preferences.preferred[0].constraint", "preferences.preferred[0].weight"}},
		{"node", func() error { return d.SetNode(placement.Node{MaxInstances: -1}) }, []string{"node.id", "node.maxInstances"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			before := d.Snapshot()
			err := test.call()
			require.ErrorIs(t, err, reservation.ErrInvalid)
			require.ErrorAs(t, err, new(*placement.InvalidError))
			for line := range strings.Lines(err.Error()) {
				require.Regexp(t, "^placement: invalid ", line)
			}
			for _, field := range test.texts {
				require.Regexp(t, "(?m)^placement: invalid "+regexp.QuoteMeta(field)+"[ :]", err.Error())
			}
			require.Equal(t, before, d.Snapshot())
		})
	}
}

func TestErrorTexts(t *testing.T) {
	at := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	tests := []struct {
		err  error
		text string
	}{
		{&reservation.StateError{ID: "r", State: reservation.Ended, Action: "claim from"}, `reservation: cannot claim from "r": it is ended`},
		{&reservation.OwnerError{ID: "r", Namespace: "a", Owners: []string{"b"}}, `reservation: "r" is not for namespace "a" but for ["b"]`},
		{&reservation.InUseError{ID: "r", Instances: []string{"i"}}, `reservation: "r" is in use by ["i"]`},
		{&reservation.VersionError{ID: "r", Want: 1, Has: 2}, `reservation: "r" has version 2, not 1`},
		{
			&reservation.ShortError{ID: "r", Asked: cores(4), Left: cores(2), Short: "cpu", Rules: 1, Excess: 2},
			`reservation: "r" has no slot for cpu=4: cpu=2 left, short of cpu, 1 on nodes excluded by the instance's rules, 2 on nodes without room for the rest`,
		},
		{
			&reservation.ShortError{ID: "r", Asked: cores(4), Left: cores(4), Used: 1, Outstays: 3, Waiting: 2, Awaits: []string{"i"}},
			`reservation: "r" has no slot for cpu=4: cpu=4 left, 1 on nodes where instances use too much, 3 on nodes that others hold before its duration is over, 2 waiting for ["i"] to leave`,
		},
		{
			&reservation.RefusedError{
				Window: reservation.Window{Start: at}, Shape: cores(4), Missing: 1, Count: 2, Node: "n1", Short: "cpu",
				Holders: []reservation.Holder{{ID: "a"}, {ID: "b"}}, Earliest: at.Add(time.Hour),
			},
			"reservation: no room for 1 of 2 × cpu=4 in [2030-01-01T00:00:00Z, ∞): n1 comes nearest and has no cpu left; " +
				"held by a, b; the earliest start is 2030-01-01T01:00:00Z",
		},
	}
	for _, test := range tests {
		require.EqualError(t, test.err, test.text)
	}
}

func TestUnknownChangesAreRefused(t *testing.T) {
	var change reservation.PlanChange
	require.NoError(t, json.Unmarshal([]byte(`{"kind":"withdraw","id":"r"}`), &change))
	require.Equal(t, reservation.PlanChange{Kind: reservation.Withdraw, ID: "r"}, change)
	require.ErrorIs(t, json.Unmarshal([]byte(`{"kind":"explode"}`), &change), reservation.ErrInvalid)
}

// The body of a call tells all that is wrong with it, with paths.
func TestMistakesOfABody(t *testing.T) {
	var spec reservation.Spec
	err := placement.DecodeJSON([]byte(`{"id":"r","shape":{"cpu":"4x","custom":{"tape":-1}},"count":0,"duration":"1h",
		"end":"2026-01-01T00:00:00Z","atEnd":"never","owners":["a","a"],"repeat":{"every":"hourly"},"notice":"-1s"}`), &spec)
	require.Equal(t, reservation.Spec{}, spec)
	var fields []string
	for line := range strings.SplitSeq(err.Error(), "\n") {
		fields = append(fields, strings.Fields(strings.TrimPrefix(strings.TrimPrefix(line, "placement: invalid "), "reservation: invalid "))[0])
	}
	require.ElementsMatch(t, []string{
		"shape.cpu", "shape.custom.tape", "atEnd", "repeat.every", "count", "notice", "owners", "end", "repeat.until",
	}, fields, err)
	require.NoError(t, placement.DecodeJSON([]byte(`{"id":"r","shape":{"cpu":"4"},"count":2,"duration":"1h"}`), &spec))
	require.Equal(t, reservation.Spec{ID: "r", Shape: placement.Resources{CPU: 4 * placement.Core}, Count: 2, Duration: time.Hour}, spec)
}
