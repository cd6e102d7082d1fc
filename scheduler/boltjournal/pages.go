package boltjournal

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"os"
)

// pages reads a file of bbolt without trusting a byte of it: bbolt itself maps
// the file and follows what it finds there, so that a damaged page can make it
// panic, loop, or read elsewhere. The layout is that of its version 2, in the
// byte order of the machine:
//
//	page     id uint64, flags uint16, count uint16, overflow uint32, elements
//	meta     magic, version, page size, flags uint32, root, sequence, freelist,
//	         pages, transaction uint64, FNV-1a checksum of these
//	branch   per element: pos, key size uint32, page uint64
//	leaf     per element: flags, pos, key size, value size uint32
//	bucket   a leaf's value with flag 1: root, sequence uint64; a page if root is 0
//
// Page 0 and 1 are meta pages, of which the one with the later transaction
// counts.
type pages struct {
	file *os.File
	size int64  // of a page
	root uint64 // page of the root bucket
	end  uint64 // first page that was never used
	seen []bool

	transaction uint64 // the latest
}

const (
	pageHeader = 16
	metaSize   = 64
	element    = 16 // of branch and leaf

	boltMagic   = 0xED0CDAED
	boltVersion = 2
	noFreelist  = 1<<64 - 1

	branchPage = 1
	leafPage   = 2
	bucketLeaf = 1

	maxDepth = 64 // of branches; a sound file has a handful

	hugeFile       = 1 << 30 // bytes, of which bbolt needs about a hundredth in memory
	mostCompressed = 64      // what a file system may save at most
)

func (p *pages) corrupt(place, reason string, args ...any) error {
	return &CorruptError{p.file.Name(), place, fmt.Sprintf(reason, args...)}
}

func pagePlace(id uint64) string { return fmt.Sprintf("page %d", id) }

// openPages reads the meta pages. Both must be sound: bbolt would fall back
// on the older one, and lose the last transaction without a word.
func openPages(file *os.File) (*pages, error) {
	p := &pages{file: file}
	for id := range uint64(2) {
		meta, err := p.meta(id)
		if err != nil {
			return nil, err
		}
		if transaction := binary.NativeEndian.Uint64(meta[48:]); id == 0 || transaction > p.transaction {
			p.transaction = transaction
			p.root, p.end = binary.NativeEndian.Uint64(meta[16:]), binary.NativeEndian.Uint64(meta[40:])
			if binary.NativeEndian.Uint64(meta[32:]) != noFreelist {
				return nil, p.corrupt(pagePlace(id), "has a list of free pages, which is never written here")
			}
		}
	}
	info, err := file.Stat()
	if err != nil {
		return nil, fmt.Errorf("boltjournal: %w", err)
	}
	if p.end > uint64(info.Size()/p.size) {
		return nil, p.corrupt("end of file", "%d bytes are not %d pages of %d", info.Size(), p.end, p.size)
	}
	// Every page that counts was written once. What was not takes no room on
	// the disk, but bbolt would need memory for each page all the same.
	if claimed, stored := p.end*uint64(p.size), uint64(stored(info)); claimed > hugeFile && claimed/mostCompressed > stored {
		return nil, p.corrupt("end of file", "%d pages in use, of which %d bytes are on the disk", p.end, stored)
	}
	p.seen = make([]bool, p.end)
	return p, nil
}

// meta reads a meta page. The first tells the size of pages, and so where the
// second is.
func (p *pages) meta(id uint64) ([]byte, error) {
	page := make([]byte, pageHeader+metaSize)
	if _, err := p.file.ReadAt(page, int64(id)*p.size); err != nil {
		return nil, p.corrupt(pagePlace(id), "%v", err)
	}
	meta := page[pageHeader:]
	sum := fnv.New64a()
	sum.Write(meta[:56])
	size := int64(binary.NativeEndian.Uint32(meta[8:]))
	switch {
	case binary.NativeEndian.Uint32(meta) != boltMagic:
		return nil, p.corrupt(pagePlace(id), "not a page of bbolt")
	case binary.NativeEndian.Uint64(meta[56:]) != sum.Sum64():
		return nil, p.corrupt(pagePlace(id), "checksum does not match")
	case binary.NativeEndian.Uint32(meta[4:]) != boltVersion || size < 512 || id == 1 && size != p.size:
		return nil, p.corrupt(pagePlace(id), "bbolt version %d, page size %d", binary.NativeEndian.Uint32(meta[4:]), size)
	}
	// bbolt writes the meta page of a transaction where its number is even or
	// odd; one that lies elsewhere would hide the latest transaction.
	place, turn := binary.NativeEndian.Uint64(page), binary.NativeEndian.Uint64(meta[48:])%2
	if place != id || turn != id {
		return nil, p.corrupt(pagePlace(id), "holds meta page %d, of a transaction for page %d", place, turn)
	}
	p.size = size
	return meta, nil
}

// page reads a page with what overflows into the next.
func (p *pages) page(id uint64) ([]byte, error) {
	if id < 2 || id >= p.end {
		return nil, p.corrupt(pagePlace(id), "is referred to and not there")
	}
	page := make([]byte, p.size)
	if _, err := p.file.ReadAt(page, int64(id)*p.size); err != nil {
		return nil, p.corrupt(pagePlace(id), "%v", err)
	}
	length := uint64(binary.NativeEndian.Uint32(page[12:])) + 1
	if binary.NativeEndian.Uint64(page) != id || length > p.end-id {
		return nil, p.corrupt(pagePlace(id), "says it is page %d, of length %d", binary.NativeEndian.Uint64(page), length)
	}
	for i := id; i < id+length; i++ {
		if p.seen[i] {
			return nil, p.corrupt(pagePlace(i), "is referred to twice")
		}
		p.seen[i] = true
	}
	if length > 1 {
		page = append(page, make([]byte, int64(length-1)*p.size)...)
		if _, err := p.file.ReadAt(page[p.size:], int64(id+1)*p.size); err != nil {
			return nil, p.corrupt(pagePlace(id), "%v", err)
		}
	}
	return page, nil
}

// leaf is what is visited: a key and a value, or the head of a bucket.
type leaf struct {
	place      string
	bucket     bool
	key, value []byte
}

// keyRange is keys that are at least low and below high; nil means unbounded.
type keyRange struct{ low, high []byte }

func (r keyRange) has(key []byte) bool {
	return bytes.Compare(key, r.low) >= 0 && (r.high == nil || bytes.Compare(key, r.high) < 0)
}

// walk visits all leaves below a page in the order of their keys, which lie in a
// range.
func (p *pages) walk(id uint64, keys keyRange, depth int, visit func(leaf) error) error {
	page, err := p.page(id)
	if err != nil {
		return err
	}
	return p.walkPage(page, pagePlace(id), keys, depth, visit)
}

func (p *pages) walkPage(page []byte, place string, keys keyRange, depth int, visit func(leaf) error) error {
	flags, count := binary.NativeEndian.Uint16(page[8:]), int(binary.NativeEndian.Uint16(page[10:]))
	if flags != leafPage && flags != branchPage {
		return p.corrupt(place, "flags %#x", flags)
	}
	if depth > maxDepth || count == 0 && (flags == branchPage || depth > 0) {
		return p.corrupt(place, "%d elements at depth %d", count, depth)
	}
	if len(page) < pageHeader+count*element {
		return p.corrupt(place, "%d elements in %d bytes", count, len(page))
	}
	var previous []byte
	for i := range count {
		l, child, ok := elementAt(page, i, flags)
		if !ok {
			return p.corrupt(place, "element %d leaves the page or is of no kind", i)
		}
		// The first of a branch stands for all that is less than the second.
		if i > 0 && bytes.Compare(previous, l.key) >= 0 || !keys.has(l.key) {
			return p.corrupt(place, "element %d is out of order", i)
		}
		previous, l.place = l.key, place
		if flags == leafPage {
			if err := visit(l); err != nil {
				return err
			}
			continue
		}
		upper := keys.high
		if i+1 < count {
			next, _, ok := elementAt(page, i+1, flags)
			if !ok {
				return p.corrupt(place, "element %d leaves the page", i+1)
			}
			upper = next.key
		}
		if err := p.walk(child, keyRange{l.key, upper}, depth+1, visit); err != nil {
			return err
		}
	}
	return nil
}

// elementAt returns an element of a leaf, or of a branch with its child, and
// whether it lies in the page.
func elementAt(page []byte, i int, flags uint16) (l leaf, child uint64, ok bool) {
	at := pageHeader + i*element
	e := page[at : at+element]
	if flags == branchPage {
		key, ok := cut(page, at, binary.NativeEndian.Uint32(e), binary.NativeEndian.Uint32(e[4:]))
		return leaf{key: key}, binary.NativeEndian.Uint64(e[8:]), ok
	}
	l.bucket = binary.NativeEndian.Uint32(e) == bucketLeaf
	pos, keySize, valueSize := binary.NativeEndian.Uint32(e[4:]), binary.NativeEndian.Uint32(e[8:]), binary.NativeEndian.Uint32(e[12:])
	key, ok := cut(page, at, pos, keySize)
	if !ok || binary.NativeEndian.Uint32(e) > bucketLeaf {
		return leaf{}, 0, false
	}
	l.key = key
	l.value, ok = cut(page, at+int(pos), keySize, valueSize)
	return l, 0, ok
}

// cut returns size bytes at a distance from a place, if they are there.
func cut(page []byte, at int, distance, size uint32) ([]byte, bool) {
	from := int64(at) + int64(distance)
	to := from + int64(size)
	if to > int64(len(page)) {
		return nil, false
	}
	return page[from:to], true
}

// walkBucket visits all leaves of a bucket, given its own leaf. There are no
// buckets in buckets here.
func (p *pages) walkBucket(b leaf, visit func(leaf) error) error {
	if !b.bucket || len(b.value) < pageHeader {
		return p.corrupt(b.place, "%q is no bucket", b.key)
	}
	plain := func(l leaf) error {
		if l.bucket {
			return p.corrupt(l.place, "a bucket in bucket %q", b.key)
		}
		return visit(l)
	}
	if root := binary.NativeEndian.Uint64(b.value); root != 0 {
		return p.walk(root, keyRange{}, 0, plain)
	}
	inline := b.value[pageHeader:]
	if len(inline) < pageHeader || binary.NativeEndian.Uint16(inline[8:]) != leafPage {
		return p.corrupt(b.place, "bucket %q holds no leaf", b.key)
	}
	return p.walkPage(inline, b.place, keyRange{}, 0, plain)
}
