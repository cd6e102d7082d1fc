package main

import (
	"encoding/xml"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write testdata anew")

func TestStory(t *testing.T) {
	svg := filepath.Join(t.TempDir(), "timeline.svg")
	text, err := run(svg)
	require.NoError(t, err)
	requireGolden(t, "story.txt", text)

	drawing, err := os.ReadFile(svg)
	require.NoError(t, err)
	var well struct {
		Bars []struct{} `xml:"rect"`
	}
	require.NoError(t, xml.Unmarshal(drawing, &well))
	require.Len(t, well.Bars, 1+9, "the background and nine bars")
}

func TestWeek(t *testing.T) {
	text, err := runWeek(t.Context())
	require.NoError(t, err, text)
	requireGolden(t, "week.txt", text)
}

func requireGolden(t *testing.T, name, text string) {
	t.Helper()
	golden := filepath.Join("testdata", name)
	if *update {
		require.NoError(t, os.WriteFile(golden, []byte(text), 0o600))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	require.Equal(t, string(want), text)
}
