package boltjournal

import (
	"errors"
	"fmt"
	"io/fs"
)

// The decisions that a caller can take on an error.
var (
	// ErrLocked: another process has the journal open.
	ErrLocked = errors.New("boltjournal: locked by another process")
	// ErrCorrupt: the file is damaged. See CorruptError.
	ErrCorrupt = errors.New("boltjournal: corrupt")
	// ErrVersion: the file is of a later format. See FormatVersionError.
	ErrVersion = errors.New("boltjournal: unknown format version")
	// ErrClosed: the journal has been closed.
	ErrClosed = errors.New("boltjournal: closed")
	// ErrMoved: the journal's path names another file now, or none. See
	// MovedError.
	ErrMoved = errors.New("boltjournal: file moved away")
	// ErrExposed: everybody may write the file. See ExposedError.
	ErrExposed = errors.New("boltjournal: file is writable by everybody")
	// ErrOrder: an entry does not follow the one before. See OrderError.
	ErrOrder = errors.New("boltjournal: out of order")
)

// CorruptError says what is damaged. It unwraps to ErrCorrupt.
type CorruptError struct {
	// Path of the damaged file.
	Path string
	// Place in it: a page of the file, or a record.
	Place string
	// Reason is what is wrong there.
	Reason string
}

// Error returns "boltjournal: PATH: PLACE: REASON".
func (e *CorruptError) Error() string {
	return fmt.Sprintf("boltjournal: %s: %s: %s", e.Path, e.Place, e.Reason)
}

// Unwrap returns ErrCorrupt.
func (e *CorruptError) Unwrap() error { return ErrCorrupt }

// FormatVersionError says which version a file has. It unwraps to ErrVersion.
type FormatVersionError struct {
	// Path of the file.
	Path string
	// Version of the file, and the latest one Supported.
	Version, Supported uint16
}

// Error returns "boltjournal: PATH has format version V, this library reads up
// to S".
func (e *FormatVersionError) Error() string {
	return fmt.Sprintf("boltjournal: %s has format version %d, this library reads up to %d", e.Path, e.Version, e.Supported)
}

// Unwrap returns ErrVersion.
func (e *FormatVersionError) Unwrap() error { return ErrVersion }

// OrderError refuses an entry that would leave a gap or repeat one, or a part of a
// snapshot that does not follow; nothing has been appended. It unwraps to
// ErrOrder.
type OrderError struct {
	// Seq of the entry, and of the Last record before it; or of a snapshot and of
	// the one whose parts came last.
	Seq, Last uint64
	// Part of the snapshot, 0 for an entry, and the LastPart that came, -1 if none
	// did.
	Part, LastPart int
}

// Error returns "boltjournal: entry SEQ does not follow record LAST", or
// "boltjournal: part PART of snapshot SEQ does not follow part LASTPART of
// snapshot LAST".
func (e *OrderError) Error() string {
	if e.Part == 0 {
		return fmt.Sprintf("boltjournal: entry %d does not follow record %d", e.Seq, e.Last)
	}
	return fmt.Sprintf("boltjournal: part %d of snapshot %d does not follow part %d of snapshot %d",
		e.Part, e.Seq, e.LastPart, e.Last)
}

// Unwrap returns ErrOrder.
func (e *OrderError) Unwrap() error { return ErrOrder }

// MovedError says which file was moved away, removed or replaced while it was
// open. What was appended in that call is not where the next Open looks for it,
// and nothing more is appended. It unwraps to ErrMoved.
type MovedError struct {
	// Path that the journal was opened at.
	Path string
}

// Error returns "boltjournal: PATH was moved away or replaced while it was
// open".
func (e *MovedError) Error() string {
	return fmt.Sprintf("boltjournal: %s was moved away or replaced while it was open", e.Path)
}

// Unwrap returns ErrMoved.
func (e *MovedError) Unwrap() error { return ErrMoved }

// ExposedError says which file everybody may write. It unwraps to ErrExposed.
type ExposedError struct {
	// Path of the file, and its Mode.
	Path string
	Mode fs.FileMode
}

// Error returns "boltjournal: PATH has mode MODE: everybody may write it".
func (e *ExposedError) Error() string {
	return fmt.Sprintf("boltjournal: %s has mode %v: everybody may write it", e.Path, e.Mode)
}

// Unwrap returns ErrExposed.
func (e *ExposedError) Unwrap() error { return ErrExposed }
