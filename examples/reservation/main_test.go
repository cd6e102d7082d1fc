package main

import (
	"bytes"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write testdata anew")

func TestStory(t *testing.T) {
	svg := filepath.Join(t.TempDir(), "timeline.svg")
	var out bytes.Buffer
	require.NoError(t, run(&out, svg))
	golden := filepath.Join("testdata", "story.txt")
	if *update {
		require.NoError(t, os.WriteFile(golden, out.Bytes(), 0o600))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	require.Equal(t, string(want), out.String())

	drawing, err := os.Open(svg)
	require.NoError(t, err)
	defer drawing.Close()
	for decoder := xml.NewDecoder(drawing); ; {
		if _, err := decoder.Token(); err != nil {
			require.True(t, errors.Is(err, io.EOF), "%v", err)
			break
		}
	}
}
