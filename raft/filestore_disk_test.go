package raft

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
)

// sectorSize is what a disk writes all of or nothing.
const sectorSize = 512

// fakeDisk is a fileSystem in memory that loses in a crash what was not
// synced. Every operation that changes it is a step; one step may fail.
type fakeDisk struct {
	cached  map[string]*fakeFile // directory as programs see it
	durable map[string]*fakeFile // directory after a crash, but for what is pending
	pending []func(directory map[string]*fakeFile)
	locked  map[*fakeFile]bool

	steps  int
	syncs  int  // of files, among the steps
	dirs   int  // syncs of the directory, among the steps
	failAt int  // the step that fails, 0: none
	short  bool // a failing write leaves some of its bytes
	forget bool // a failing sync drops the writes, though programs still see them
	full   bool // nothing can be made or grow
}

// tornWithin is where writes are torn: the rest of a slot is zeros, and a tear
// there harms nothing.
const tornWithin = 128

var (
	errFault = errors.New("injected fault")
	errFull  = errors.New("no space left on device")
	_        = fileSystem((*fakeDisk)(nil))
)

func newFakeDisk() *fakeDisk {
	return &fakeDisk{
		cached:  make(map[string]*fakeFile),
		durable: make(map[string]*fakeFile),
		locked:  make(map[*fakeFile]bool),
	}
}

// step counts and reports whether this operation is the one to fail.
func (d *fakeDisk) step() bool {
	d.steps++
	return d.steps == d.failAt
}

func (d *fakeDisk) Open(path string) (stateFile, error) {
	f := d.cached[path]
	if f == nil {
		return nil, fs.ErrNotExist
	}
	if d.locked[f] {
		return nil, ErrLocked
	}
	d.locked[f] = true
	return &fakeHandle{disk: d, fakeFile: f}, nil
}

func (d *fakeDisk) Create(path string, truncate bool) (stateFile, error) {
	if d.cached[path] != nil && !truncate {
		return d.Open(path)
	}
	if truncate && d.step() {
		return nil, errFault
	}
	if d.full {
		return nil, errFull
	}
	f := &fakeFile{}
	d.name(func(directory map[string]*fakeFile) { directory[path] = f })
	return d.Open(path)
}

// name changes the directory, for programs at once.
func (d *fakeDisk) name(change func(directory map[string]*fakeFile)) {
	change(d.cached)
	d.pending = append(d.pending, change)
}

// Read opens a file whoever has it locked.
func (d *fakeDisk) Read(path string) (stateFile, error) {
	f := d.cached[path]
	if f == nil {
		return nil, fs.ErrNotExist
	}
	return &fakeHandle{disk: d, fakeFile: f, reader: true}, nil
}

func (d *fakeDisk) List(path string) ([]string, error) {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(d.cached)) {
		if name, found := strings.CutPrefix(name, path+"/"); found {
			names = append(names, name)
		}
	}
	return names, nil
}

func (d *fakeDisk) SyncData(f stateFile) error { return f.Sync() }

// kill is the end of the process that has files open.
func (d *fakeDisk) kill() { clear(d.locked) }

func (d *fakeDisk) Check(f stateFile, path string) error {
	if d.cached[path] != f.(*fakeHandle).fakeFile {
		return fs.ErrNotExist
	}
	return nil
}

func (d *fakeDisk) Remove(path string) error {
	d.name(func(directory map[string]*fakeFile) { delete(directory, path) })
	return nil
}

func (d *fakeDisk) Rename(from, to string) error {
	if d.step() {
		return errFault
	}
	f := d.cached[from]
	d.name(func(directory map[string]*fakeFile) {
		directory[to] = f
		delete(directory, from)
	})
	return nil
}

func (d *fakeDisk) SyncDir(string) error {
	d.dirs++
	if d.step() {
		return errFault
	}
	d.durable, d.pending = maps.Clone(d.cached), nil
	return nil
}

// crash returns the disk as it is after a power failure: of the writes that
// were not synced each is there, missing or torn, as rng says, and so is of the
// changes of the directory each or not.
func (d *fakeDisk) crash(rng *rand.Rand) *fakeDisk {
	after := newFakeDisk()
	directory := maps.Clone(d.durable)
	for _, change := range d.pending {
		if rng.IntN(2) == 0 {
			change(directory)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(directory)) {
		content := directory[name].afterCrash(rng)
		after.cached[name] = &fakeFile{cached: content, durable: bytes.Clone(content)}
	}
	after.durable = maps.Clone(after.cached)
	return after
}

// fakeFile is a file's content as programs see it and as the disk holds it.
type fakeFile struct {
	cached, durable []byte
	pending         []fakeWrite
}

type fakeWrite struct {
	offset int
	data   []byte
}

func (w fakeWrite) apply(content []byte, n int) []byte {
	if grow := w.offset + n - len(content); grow > 0 {
		content = append(content, make([]byte, grow)...)
	}
	copy(content[w.offset:], w.data[:n])
	return content
}

func (f *fakeFile) afterCrash(rng *rand.Rand) []byte {
	content := bytes.Clone(f.durable)
	for _, i := range rng.Perm(len(f.pending)) {
		w := f.pending[i]
		switch rng.IntN(4) {
		case 0: // lost
		case 1:
			content = w.apply(content, rng.IntN(min(len(w.data), tornWithin)+1))
		case 2:
			content = w.apply(content, len(w.data))
		case 3: // some of its sectors
			for len(w.data) > 0 {
				n := min(sectorSize-w.offset%sectorSize, len(w.data))
				if rng.IntN(2) == 0 {
					content = w.apply(content, n)
				}
				w = fakeWrite{w.offset + n, w.data[n:]}
			}
		}
	}
	return content
}

// fakeHandle is an open file.
type fakeHandle struct {
	disk *fakeDisk
	*fakeFile
	reader bool // it holds no lock
}

func (h *fakeHandle) ReadAt(b []byte, offset int64) (int, error) {
	n := copy(b, h.cached[min(int(offset), len(h.cached)):])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func (h *fakeHandle) WriteAt(b []byte, offset int64) (int, error) {
	w, n := fakeWrite{offset: int(offset), data: bytes.Clone(b)}, len(b)
	if h.disk.full && int(offset)+n > len(h.cached) {
		return 0, errFull
	}
	fault := n > markSize && h.disk.step() // The mark is of no account.
	if fault {
		n = 0
		if h.disk.short {
			n = tornWithin / 2
		}
		w.data = w.data[:n]
	}
	h.cached = w.apply(h.cached, n)
	h.pending = append(h.pending, w)
	if fault && !h.disk.short {
		return n, errFault
	}
	return n, nil
}

// Sync that fails leaves the writes pending, or forgets them as Linux may do.
func (h *fakeHandle) Sync() error {
	h.disk.syncs++
	if h.disk.step() {
		if h.disk.forget {
			h.pending = nil
		}
		return errFault
	}
	for _, w := range h.pending { // What was forgotten stays forgotten.
		h.durable = w.apply(h.durable, len(w.data))
	}
	h.pending = nil
	return nil
}

func (h *fakeHandle) Close() error {
	if !h.reader {
		delete(h.disk.locked, h.fakeFile)
	}
	return nil
}
