package raft

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func numbered(from string, n int) Message { return Message{From: from, Sequence: uint64(n)} }

// Rule 21: a flooder loses its own oldest messages, and nobody else's.
func TestMailboxFlood(t *testing.T) {
	b := newMailbox()
	b.open()
	b.put("quiet", numbered("quiet", 1))
	for n := range 100 {
		b.put("flooder", numbered("flooder", n))
	}
	b.put("late", numbered("late", 1))
	require.EqualValues(t, 100-mailboxPerSender, b.drops())

	var order []string
	for m, ok := b.take(); ok; m, ok = b.take() {
		order = append(order, fmt.Sprint(m.From, m.Sequence))
	}
	require.Equal(t, []string{"quiet1", "flooder84", "late1", "flooder85"}, order[:4])
	require.Equal(t, "flooder99", order[len(order)-1])
	require.Len(t, order, mailboxPerSender+2)
}

// Names that are made up cannot fill the memory.
func TestMailboxBoundsSenders(t *testing.T) {
	b := newMailbox()
	b.open()
	for n := range 10 * mailboxSenders {
		b.put(fmt.Sprint(n), numbered("", n))
	}
	require.Len(t, b.rings, mailboxSenders)
	require.EqualValues(t, 9*mailboxSenders, b.drops())
	for range mailboxSenders {
		_, ok := b.take()
		require.True(t, ok)
	}
	b.put("another", numbered("another", 1))
	require.Len(t, b.rings, 1, "rings of silent senders are given up")
	m, ok := b.take()
	require.True(t, ok)
	require.Equal(t, "another", m.From)
}

func TestMailboxClosed(t *testing.T) {
	b := newMailbox()
	b.put("a", numbered("a", 1))
	_, ok := b.take()
	require.False(t, ok)
	b.open()
	b.put("a", numbered("a", 1))
	b.put("a", numbered("a", 2))
	b.close()
	_, ok = b.take()
	require.False(t, ok)
	b.put("a", numbered("a", 3))
	require.EqualValues(t, 4, b.drops())
}

// The mailbox against a list per sender.
func TestMailboxModel(t *testing.T) { rapid.Check(t, checkMailbox) }

func FuzzMailbox(f *testing.F) { f.Fuzz(rapid.MakeFuzz(checkMailbox)) }

func checkMailbox(t *rapid.T) {
	b := newMailbox()
	b.open()
	model := make(map[string][]int)
	var turns []string
	dropped, next := 0, 0
	t.Repeat(map[string]func(*rapid.T){
		"put": func(t *rapid.T) {
			from := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "from")
			for range rapid.IntRange(1, 2*mailboxPerSender).Draw(t, "count") {
				next++
				b.put(from, numbered(from, next))
				if len(model[from]) == 0 {
					turns = append(turns, from)
				}
				if model[from] = append(model[from], next); len(model[from]) > mailboxPerSender {
					model[from] = model[from][1:]
					dropped++
				}
			}
		},
		"take": func(t *rapid.T) {
			m, ok := b.take()
			require.Equal(t, len(turns) > 0, ok)
			if !ok {
				return
			}
			from := turns[0]
			turns = turns[1:]
			require.Equal(t, numbered(from, model[from][0]), m)
			if model[from] = model[from][1:]; len(model[from]) > 0 {
				turns = append(turns, from)
			}
		},
		"": func(t *rapid.T) {
			require.EqualValues(t, dropped, b.drops())
			if len(turns) > 0 {
				require.NotEmpty(t, b.ready, "the loop is told")
			}
		},
	})
}
