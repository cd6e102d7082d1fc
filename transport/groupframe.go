package transport

import (
	"errors"
	"fmt"
)

// groupVersion is the version of the framing of a [Mux]:
//
//	version (1) | length of the group's name (1) | name | frame
//
// The first byte keeps its place in every version.
const groupVersion = 1

var (
	errGroupVersion = errors.New("transport: unknown version of a group's frame")
	errGroupFrame   = errors.New("transport: broken frame of a group")
)

// groupHeader returns what goes before each frame of the group name.
func groupHeader(name string) []byte {
	return append([]byte{groupVersion, byte(len(name))}, name...)
}

// splitGroupFrame takes a frame of a group apart. What it returns are parts of
// b. The error is errGroupVersion or errGroupFrame.
func splitGroupFrame(b []byte) (name, frame []byte, err error) {
	if len(b) == 0 {
		return nil, nil, fmt.Errorf("%w: empty", errGroupFrame)
	}
	if b[0] != groupVersion {
		return nil, nil, fmt.Errorf("%w: %d", errGroupVersion, b[0])
	}
	if len(b) < 2 || b[1] == 0 || len(b) < 2+int(b[1]) {
		return nil, nil, fmt.Errorf("%w: no name", errGroupFrame)
	}
	end := 2 + int(b[1])
	return b[2:end:end], b[end:], nil
}
