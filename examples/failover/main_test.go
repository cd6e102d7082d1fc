package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/scheduler"
)

// Whoever wins, nothing is lost or doubled.
func TestStory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		require.NoError(t, run(t.Context(), &out))
		require.Regexp(t, `(?s)under token 1\n.*leads with term .* finds 0 instances\n`+
			`.*--- . is killed.*leads with term .*--- . is started again\n`+
			`.*--- . is cut off.*leads with term .*--- the cut is mended\n`+
			`.*--- . is paused.*leads with term .*takes itself for the leader: true\n`+
			`.*--- . is resumed\n.*refuses the late write of .: scheduler: token \d+ is fenced by token \d+\n`+
			`.*checked: 300 tasks acknowledged, 300 placed, each once`, out.String())
	})
}

// It can be broken off anywhere, also while the leader is paused.
func TestStoryInterrupted(t *testing.T) {
	for after := 50 * time.Millisecond; after < 1300*time.Millisecond; after += 50 * time.Millisecond {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), after)
			defer cancel()
			if err := run(ctx, io.Discard); err != nil {
				require.ErrorIs(t, err, context.DeadlineExceeded)
			}
		})
	}
}

func TestCheckFindsWhatIsWrong(t *testing.T) {
	tests := []struct {
		name   string
		change func(told map[string]scheduler.Decision)
		want   string
	}{
		{"nothing", func(map[string]scheduler.Decision) {}, ""},
		{"lost", func(told map[string]scheduler.Decision) { told["y"] = scheduler.Decision{ID: "y"} }, "1 tasks are placed, and clients were told of 2"},
		{"nobody was told", func(told map[string]scheduler.Decision) { delete(told, "x") }, "x is placed, and nobody was told"},
		{"elsewhere", func(told map[string]scheduler.Decision) {
			d := told["x"]
			d.NodeID = "n2"
			told["x"] = d
		}, "its client was told n2 by token 1"},
		{"by another leader", func(told map[string]scheduler.Decision) {
			d := told["x"]
			d.Token = 7
			told["x"] = d
		}, "its client was told n1 by token 7"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			journal := new(scheduler.MemoryJournal)
			s, err := scheduler.Open(t.Context(), scheduler.Config{Journal: journal})
			require.NoError(t, err)
			require.NoError(t, s.AddNode(t.Context(), placement.Node{ID: "n1", Capacity: placement.Resources{CPU: placement.Core}}))
			d, err := s.Place(t.Context(), placement.Request{ID: "x"})
			require.NoError(t, err)
			require.NoError(t, s.Close())

			told := map[string]scheduler.Decision{"x": d}
			tt.change(told)
			_, err = check(t.Context(), journal, told)
			if tt.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, tt.want)
		})
	}
}

func TestHistoryCountsPlacementsAndReigns(t *testing.T) {
	var shown strings.Builder
	for i, token := range []uint64{1, 2, 2, 1} {
		fmt.Fprintf(&shown, `{"entry":%d,"token":%d,"changes":[{"kind":"placed","data":{"request":{"id":"x"}}}]}`+"\n", i+1, token)
	}
	h, err := contentsOf(strings.NewReader(shown.String()))
	require.NoError(t, err)
	require.Equal(t, 4, h.placed["x"])
	require.Equal(t, 2, h.reigns)
	require.EqualError(t, h.backwards, "entry 4: token 1 wrote after token 2")
}

func TestKilledProcessIsSilent(t *testing.T) {
	p := newProcess(&cluster{})
	close(p.killed)
	require.ErrorIs(t, processTransport{process: p}.Send("b", nil), errKilled)
	require.ErrorIs(t, processJournal{process: p}.Append(t.Context(), 1, nil), errKilled)
	p.printf("nothing")
}
