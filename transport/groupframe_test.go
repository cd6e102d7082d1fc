package transport

import (
	"bytes"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestGroupFramesRoundTrip(t *testing.T) {
	for _, name := range []string{"g", "a group with spaces", strings.Repeat("x", GroupNameLimit)} {
		for _, payload := range []string{"", "frame"} {
			gotName, gotPayload, err := splitGroupFrame(append(groupHeader(name), payload...))
			require.NoError(t, err)
			require.Equal(t, name, string(gotName))
			require.Equal(t, payload, string(gotPayload))
		}
	}
}

// A frame that was on its way to a group when that ended is not kept, and is
// counted.
func TestEndedGroupTakesNoFrame(t *testing.T) {
	m, err := NewMux(MuxConfig{Transport: &Endpoint{}})
	require.NoError(t, err)
	g, err := m.Join("g")
	require.NoError(t, err)
	require.True(t, g.accept("a", nil))
	g.end()
	m.groups["g"] = g // As the receiver has found it before the end.
	m.receive("a", groupHeader("g"))
	require.Equal(t, MuxRefused{Group: 1}, m.Stats().Refused)
	require.Zero(t, g.Stats().Queued)
}

func TestBrokenGroupFrames(t *testing.T) {
	tests := []struct {
		name  string
		frame string
		want  error
	}{
		{"empty", "", errGroupFrame},
		{"no length", "\x01", errGroupFrame},
		{"no name", "\x01\x00frame", errGroupFrame},
		{"name cut short", "\x01\x05name", errGroupFrame},
		{"version 0", "\x00\x01gframe", errGroupVersion},
		{"version 2", "\x02\x01gframe", errGroupVersion},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, _, err := splitGroupFrame([]byte(tt.frame))
			require.ErrorIs(t, err, tt.want)
		})
	}
}

// Whatever the bytes, taking them apart does not panic, and what is taken apart
// is what the frame was made of.
func FuzzSplitGroupFrame(f *testing.F) {
	f.Add([]byte(nil))
	f.Add(groupHeader("group"))
	f.Add(append(groupHeader("group"), "frame"...))
	f.Add([]byte("\x01\x05name"))
	f.Add([]byte("\x02\x01gframe"))
	f.Fuzz(func(t *testing.T, b []byte) {
		name, frame, err := splitGroupFrame(b)
		if err != nil {
			require.Nil(t, name)
			require.Nil(t, frame)
			return
		}
		require.NotEmpty(t, name)
		require.LessOrEqual(t, len(name), GroupNameLimit)
		require.True(t, bytes.Equal(b, append(groupHeader(string(name)), frame...)))
	})
}
