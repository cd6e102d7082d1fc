// Package wire is the encoding that the transports share: frames on a stream,
// and the introduction with which a connection begins. Integers are
// big-endian, checksums are CRC-32C.
//
//	frame:  length of payload and kind (4) | checksum of both (4) | kind (1) | payload
//	hello:  "cnst" (4) | version (2) | length of names (2) | names | checksum of all before (4)
//	names:  cluster, sender, receiver, each with its length (1) in front
//	reply:  "cnst" (4) | version (2) | answer (1)
//
// The first six bytes of hello and reply stay as they are in every version,
// so that a member can tell another version from garbage.
//
// # Concurrency
//
// Functions are pure. A [Reader] belongs to one goroutine.
package wire
