package transport

import (
	"errors"
	"fmt"
)

var (
	// ErrUnknownPeer means that a call names a peer that the transport does
	// not know. See [UnknownPeerError].
	ErrUnknownPeer = errors.New("transport: unknown peer")
	// ErrTooLarge means that a frame is longer than the transport's limit. See
	// [TooLargeError].
	ErrTooLarge = errors.New("transport: frame too large")
	// ErrClosed means that Serve has returned, or that Serve was called a
	// second time.
	ErrClosed = errors.New("transport: closed")
	// ErrNameTaken means that a member or a group of that name exists and its
	// Serve has not returned.
	ErrNameTaken = errors.New("transport: name taken")
)

// An UnknownPeerError says which peer is unknown. It unwraps to
// [ErrUnknownPeer].
type UnknownPeerError struct{ Peer string }

// Error implements error.
func (e *UnknownPeerError) Error() string { return fmt.Sprintf("%v: %q", ErrUnknownPeer, e.Peer) }

// Unwrap returns [ErrUnknownPeer].
func (e *UnknownPeerError) Unwrap() error { return ErrUnknownPeer }

// A TooLargeError says by how much a frame is too long, in bytes. It unwraps
// to [ErrTooLarge].
type TooLargeError struct{ Size, Limit int }

// Error implements error.
func (e *TooLargeError) Error() string {
	return fmt.Sprintf("%v: %d bytes, the limit is %d", ErrTooLarge, e.Size, e.Limit)
}

// Unwrap returns [ErrTooLarge].
func (e *TooLargeError) Unwrap() error { return ErrTooLarge }
