package boltjournal

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
)

// verify reads the whole file and returns what is wrong with it.
func verify(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("boltjournal: %w", err)
	}
	defer func() { _ = file.Close() }() // was only read
	p, err := openPages(file)
	if err != nil {
		return err
	}
	v := verifier{pages: p, buckets: make(map[string]leaf)}
	err = p.walk(p.root, keyRange{}, 0, func(l leaf) error {
		l.key, l.value = bytes.Clone(l.key), bytes.Clone(l.value)
		v.buckets[string(l.key)] = l
		return nil
	})
	if err != nil {
		return err
	}
	return v.run()
}

// verifier compares what is there with what the head says.
type verifier struct {
	*pages
	buckets map[string]leaf
	head    head
	next    uint64 // Seq of the entry to come
	part    uint32 // of the snapshot, to come
	size    uint64 // of the parts so far
}

func (v *verifier) run() error {
	if len(v.buckets) != 3 {
		return v.corrupt(pagePlace(v.root), "%d buckets, want 3", len(v.buckets))
	}
	if err := v.bucket(headBucket, v.checkHead); err != nil {
		return err
	}
	v.next = v.head.snapshot.seq + 1
	if err := v.bucket(entryBucket, v.checkEntry); err != nil {
		return err
	}
	if v.next != v.head.last+1 {
		return v.corrupt(fmt.Sprintf("entry %d", v.next), "missing, the last is %d", v.head.last)
	}
	if err := v.bucket(snapshotBucket, v.checkPart); err != nil {
		return err
	}
	if snapshot := v.head.snapshot; v.part != snapshot.parts || v.size != snapshot.size {
		return v.corrupt(fmt.Sprintf("snapshot %d", snapshot.seq), "%d parts with %d bytes, want %d with %d",
			v.part, v.size, snapshot.parts, snapshot.size)
	}
	return nil
}

func (v *verifier) bucket(name string, visit func(leaf) error) error {
	b, ok := v.buckets[name]
	if !ok {
		return v.corrupt(pagePlace(v.root), "bucket %q is missing", name)
	}
	found := false
	err := v.walkBucket(b, func(l leaf) error {
		found = true
		return visit(l)
	})
	if err == nil && name == headBucket && !found {
		return v.corrupt(b.place, "the head is missing")
	}
	return err
}

func (v *verifier) checkHead(l leaf) error {
	h, version, reason := decodeHead(l.value)
	switch {
	case version > formatVersion:
		return &FormatVersionError{v.file.Name(), version, formatVersion}
	case reason != "" || string(l.key) != headKey:
		return v.corrupt("head on "+l.place, "%s", reason)
	case h.transaction != v.transaction:
		return v.corrupt("head on "+l.place, "written by transaction %d, the latest is %d", h.transaction, v.transaction)
	}
	v.head = h
	return nil
}

func (v *verifier) checkEntry(l leaf) error {
	r, ok := decodeEntry(l.key, l.value)
	if !ok {
		return v.corrupt(fmt.Sprintf("entry at key %x on %s", l.key, l.place), "checksum does not match")
	}
	if r.Seq <= v.head.snapshot.seq {
		return nil
	}
	if r.Seq != v.next {
		return v.corrupt(fmt.Sprintf("entry %d on %s", r.Seq, l.place), "comes where entry %d is missing", v.next)
	}
	v.next++
	return nil
}

func (v *verifier) checkPart(l leaf) error {
	piece, ok := unseal(l.key, l.value)
	if !ok || len(l.key) != 12 {
		return v.corrupt(fmt.Sprintf("part of a snapshot at key %x on %s", l.key, l.place), "checksum does not match")
	}
	part := binary.BigEndian.Uint32(l.key[8:])
	if binary.BigEndian.Uint64(l.key) != v.head.generation || part >= v.head.snapshot.parts {
		return nil
	}
	if part != v.part {
		return v.corrupt(fmt.Sprintf("part %d of snapshot %d on %s", part, v.head.snapshot.seq, l.place), "comes where part %d is missing", v.part)
	}
	v.part++
	v.size += uint64(len(piece))
	return nil
}
