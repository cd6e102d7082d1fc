// Package batch writes the entries of one append as one value, for journals that lie in
// a store of values.
//
// Of each entry a batch has its Seq, its length and its data. The numbers are those of
// Uvarint of encoding/binary. A batch has no checksum: each entry has its own.
package batch
