package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/rads-project/constellation/scheduler"
)

// check compares what the clients were told with what the journal holds, and
// returns a line that sums it up. Every problem is an error of its own.
func check(ctx context.Context, journal scheduler.Journal, told map[string]scheduler.Decision) (string, error) {
	h, err := readContents(ctx, journal)
	if err != nil {
		return "", err
	}
	s, err := scheduler.Open(ctx, scheduler.Config{Journal: journal})
	if err != nil {
		return "", err
	}
	placed, err := s.Allocations(ctx)
	if err != nil {
		return "", err
	}
	problems := []error{s.VerifyQuota(ctx), h.backwards}
	for _, a := range placed {
		id := a.Request.ID
		d, ok := told[id]
		switch {
		case !ok:
			problems = append(problems, fmt.Errorf("%s is placed, and nobody was told", id))
		case a.NodeID != d.NodeID || a.Token != d.Token || a.Version != d.Version:
			problems = append(problems, fmt.Errorf("%s is on %s by token %d, but its client was told %s by token %d", id, a.NodeID, a.Token, d.NodeID, d.Token))
		}
		if h.placed[id] != 1 {
			problems = append(problems, fmt.Errorf("%s was placed %d times", id, h.placed[id]))
		}
	}
	if len(placed) != len(told) {
		problems = append(problems, fmt.Errorf("%d tasks are placed, and clients were told of %d", len(placed), len(told)))
	}
	problems = append(problems, s.Close())
	return fmt.Sprintf("checked: %d tasks acknowledged, %d placed, each once, in %d reigns", len(told), len(placed), h.reigns), errors.Join(problems...)
}

// journalContents is what the entries of a journal tell, one by one.
type journalContents struct {
	placed    map[string]int // how often, by task
	reigns    int            // tokens that wrote
	backwards error          // a token that wrote after a higher one
}

// readContents reads the entries as they are shown to people, so that the check
// does not rest on the scheduler alone.
func readContents(ctx context.Context, journal scheduler.Journal) (journalContents, error) {
	var shown bytes.Buffer
	if err := scheduler.WriteJSON(&shown, journal.Records(ctx)); err != nil {
		return journalContents{}, err
	}
	return contentsOf(&shown)
}

// contentsOf reads entries, each a JSON object.
func contentsOf(shown io.Reader) (journalContents, error) {
	h := journalContents{placed: make(map[string]int)}
	entries := json.NewDecoder(shown)
	var last uint64
	for {
		var entry struct {
			Entry   uint64
			Token   uint64
			Changes []struct {
				Kind string
				Data struct{ Request struct{ ID string } }
			}
		}
		if err := entries.Decode(&entry); errors.Is(err, io.EOF) {
			return h, nil
		} else if err != nil {
			return journalContents{}, err
		}
		switch {
		case entry.Token > last:
			h.reigns++
		case entry.Token < last:
			h.backwards = fmt.Errorf("entry %d: token %d wrote after token %d", entry.Entry, entry.Token, last)
		}
		last = entry.Token
		for _, c := range entry.Changes {
			if c.Kind == "placed" {
				h.placed[c.Data.Request.ID]++
			}
		}
	}
}
