package raft

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// stateNumber returns a record that differs for each n.
func stateNumber(n uint64) HardState {
	return HardState{
		Identity: Identity{Cluster: "c", Node: "a", StoreID: StoreID{1}, Incarnation: 1},
		Term:     n,
		Vote:     fmt.Sprintf("node-%d", n%3),
	}
}

func openStore(t require.TestingT, d *fakeDisk) (*FileStore, StoredState) {
	s := &FileStore{Path: "dir/raft", fs: d}
	record, err := s.Open()
	require.NoError(t, err)
	return s, record
}

// storeOnDisk returns a disk whose file holds record n, in both slots.
func storeOnDisk(t *testing.T, n uint64) *fakeDisk {
	t.Helper()
	d := newFakeDisk()
	s, _ := openStore(t, d)
	require.NoError(t, s.Save(stateNumber(n)))
	require.NoError(t, s.Close())
	return d
}

func TestFileStoreLayout(t *testing.T) {
	path := filepath.Join(t.TempDir(), "raft")
	s := &FileStore{Path: path}
	_, err := s.Open()
	require.NoError(t, err)
	for n := range uint64(3) {
		require.NoError(t, s.Save(stateNumber(n)))
		content, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Len(t, content, 8192)
		// Rule 14: when Save answers, both slots hold the record.
		require.Equal(t, content[:4096], content[4096:])
		newest, err := parseSlot(content[:4096])
		require.NoError(t, err)
		require.Equal(t, n+1, newest.sequence)
	}
	require.NoError(t, s.Close())
	entries, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	require.Len(t, entries, 2, "the file and its lock")
}

// A stop and a start keep what was saved.
func TestFileStoreSurvivesRestart(t *testing.T) {
	d := storeOnDisk(t, 5)
	s, record := openStore(t, d)
	require.True(t, record.Found)
	require.True(t, record.State.Equal(stateNumber(5)))
	require.NoError(t, record.Damage)
	require.NoError(t, s.Close())
}

// Open reads and changes nothing, nor does it write when the store is closed again.
func TestFileStoreOpensWithoutWriting(t *testing.T) {
	for _, d := range []*fakeDisk{storeOnDisk(t, 1), diskWith(flipped(storeOnDisk(t, 1).cached["dir/raft"].cached, 100))} {
		before, steps := bytes.Clone(d.cached["dir/raft"].cached), d.steps
		s, _ := openStore(t, d)
		_, err := s.Open()
		require.ErrorIs(t, err, ErrLocked)
		require.ErrorContains(t, err, "this store is open already", "also where the system locks no files")
		require.NoError(t, s.Close())
		require.Equal(t, steps, d.steps)
		require.Equal(t, before, d.cached["dir/raft"].cached)
	}
}

// TestFileStoreSaveCosts counts what a Save costs, which does not depend on how much
// there is to say: two writes and one sync; where an earlier process has written the
// file, at first one more write and one more sync, and one of the directory.
func TestFileStoreSaveCosts(t *testing.T) {
	type cost struct{ writes, syncs, dirs int }
	for _, n := range []int{3, MaxMembers} {
		members := make([]Member, n)
		for i := range members {
			members[i] = Member{ID: fmt.Sprintf("%064d", i), Voter: true}
		}
		first, err := NewConfiguration(members...)
		require.NoError(t, err)
		d := newFakeDisk()
		s, _ := openStore(t, d)
		term := uint64(0)
		save := func() cost {
			term++
			state := stateNumber(term)
			state.Configuration = first
			d.steps, d.syncs, d.dirs = 0, 0, 0
			require.NoError(t, s.Save(state))
			return cost{d.steps - d.syncs - d.dirs, d.syncs, d.dirs}
		}
		made := save()
		require.Equal(t, cost{4, 1, 1}, made, "with making and naming the file")
		for range 2 {
			require.Equal(t, cost{2, 1, 0}, save(), "the file is this process's own")
		}
		require.NoError(t, s.Close())
		s, _ = openStore(t, d)
		require.Equal(t, cost{3, 2, 1}, save(), "it is not known to be durable")
		for range 3 {
			require.Equal(t, cost{2, 1, 0}, save())
		}
	}
}

// Rule 14: a write that is torn at any byte leaves the old record or the new.
func TestFileStoreSlotTornAtEveryByte(t *testing.T) {
	before := storeOnDisk(t, 1).cached["dir/raft"].cached
	after, err := appendSlot(nil, slot{sequence: 2, payload: mustEncode(t, stateNumber(2))})
	require.NoError(t, err)
	for i := range 2 {
		for n := range slotSize + 1 {
			content := bytes.Clone(before)
			copy(content[i*slotSize:], after[:n])
			d := diskWith(content)
			_, record := openStore(t, d)
			want := uint64(1)
			if record.State.Term == 2 {
				// The rest of the slot is the same in both.
				want = 2
				require.True(t, bytes.Equal(after[n:], before[i*slotSize+n:(i+1)*slotSize]))
			}
			require.True(t, record.State.Equal(stateNumber(want)))
		}
	}
}

// Rule 14: any one bit may flip; the other slot is used, reported and repaired.
func TestFileStoreBitFlips(t *testing.T) {
	good := storeOnDisk(t, 1).cached["dir/raft"].cached
	used := slotHeaderSize + len(mustEncode(t, stateNumber(1)))
	for i := range 2 {
		for bit := range used * 8 {
			content := bytes.Clone(good)
			content[i*slotSize+bit/8] ^= 1 << (bit % 8)
			d := diskWith(content)
			s, record := openStore(t, d)
			require.True(t, record.State.Equal(stateNumber(1)))
			require.ErrorContains(t, record.Damage, fmt.Sprintf("slot %d", i))
			require.NoError(t, s.Save(record.State))
			require.NoError(t, s.Close())

			_, record = openStore(t, d)
			require.NoError(t, record.Damage)
		}
	}
}

// What cannot be read is refused by name, never taken for term 0.
func TestFileStoreRefusesUnusableFiles(t *testing.T) {
	good := storeOnDisk(t, 1).cached["dir/raft"].cached
	slotOf := func(sequence uint64, payload []byte) []byte {
		b, err := appendSlot(nil, slot{sequence: sequence, payload: payload})
		require.NoError(t, err)
		return b
	}
	later := slotOf(2, mustEncode(t, stateNumber(2)))
	later[11] = 2 // layout version
	sum := slotChecksum(later[:24], later[slotHeaderSize:slotHeaderSize+len(mustEncode(t, stateNumber(2)))])
	copy(later[24:], []byte{byte(sum >> 24), byte(sum >> 16), byte(sum >> 8), byte(sum)})

	tests := []struct {
		name    string
		content []byte
		want    error
		detail  string
	}{
		{"empty", nil, ErrCorrupt, "0 bytes of 8192"},
		{"short", good[:8191], ErrCorrupt, "8191 bytes of 8192"},
		{"zeros", make([]byte, stateFileSize), ErrCorrupt, "slot 1: magic is wrong"},
		{"both checksums", flipped(flipped(good, 40), slotSize+40), ErrCorrupt, "slot 0: checksum is wrong"},
		{"both lengths", flipped(flipped(good, 12), slotSize+12), ErrCorrupt, "slot 1: length is out of range"},
		{"one sequence, two records", append(slotOf(1, mustEncode(t, stateNumber(1))), slotOf(1, mustEncode(t, stateNumber(2)))...), ErrCorrupt, "they differ"},
		{"not a record", append(slotOf(1, []byte("hello")), slotOf(1, []byte("hello"))...), ErrCorrupt, "hard state version"},
		{"written by a later version", append(bytes.Clone(good[:slotSize]), later...), ErrForeign, "layout version is not known: 2"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := diskWith(tt.content)
			s := &FileStore{Path: "dir/raft", fs: d}
			_, err := s.Open()
			require.ErrorIs(t, err, tt.want)
			require.ErrorContains(t, err, tt.detail)
			var state *StoreError
			require.ErrorAs(t, err, &state)
			require.Equal(t, "dir/raft", state.Path)
			require.Zero(t, d.steps, "a refusal changes nothing")
			require.Empty(t, d.locked, "a refusal keeps no lock")
			require.Error(t, s.Save(stateNumber(1)))
		})
	}
}

// A save that fails is the last one, whatever failed, and the next start finds
// the old record or the new.
func TestFileStoreFaultAtEveryStep(t *testing.T) {
	for _, short := range []bool{false, true} {
		for failAt := 1; ; failAt++ {
			d := storeOnDisk(t, 1)
			s, _ := openStore(t, d)
			d.steps, d.failAt, d.short = 0, failAt, short
			var err error
			answered := uint64(1)
			for n := uint64(2); n <= 4 && err == nil; n++ {
				if err = s.Save(stateNumber(n)); err == nil {
					answered = n
				}
			}
			if d.steps < failAt {
				require.NoError(t, err)
				break
			}
			if short && !errors.Is(err, errFault) {
				require.ErrorIs(t, err, io.ErrShortWrite)
			} else {
				require.ErrorIs(t, err, errFault)
			}
			steps := d.steps
			require.Equal(t, err, s.Save(stateNumber(9)), "a failed save is never retried")
			require.Equal(t, steps, d.steps)
			require.NoError(t, s.Close())

			_, record := openStore(t, d)
			require.Contains(t, []uint64{answered, answered + 1}, record.State.Term, "step %d", failAt)
		}
	}
}

// Rule 14 as a property: over any history of saves, restarts, faults and power
// failures the newest answered record is never lost. At most the one that was
// being saved is found instead.
func TestFileStoreKeepsWhatItAnswered(t *testing.T) {
	rapid.Check(t, checkFileStoreHistory)
}

func FuzzFileStoreHistory(f *testing.F) { f.Fuzz(rapid.MakeFuzz(checkFileStoreHistory)) }

func checkFileStoreHistory(t *rapid.T) {
	d := newFakeDisk()
	var answered, tried uint64
	for range rapid.IntRange(1, 8).Draw(t, "runs") {
		s, record := openStore(t, d)
		require.GreaterOrEqual(t, record.State.Term, answered)
		require.LessOrEqual(t, record.State.Term, tried)
		d.steps, d.failAt = 0, rapid.IntRange(0, 20).Draw(t, "failAt")
		d.short = rapid.Bool().Draw(t, "short")
		d.forget = rapid.Bool().Draw(t, "forget")
		for range rapid.IntRange(0, 4).Draw(t, "saves") {
			tried++
			if s.Save(stateNumber(tried)) != nil {
				break
			}
			answered = tried
		}
		if rapid.Bool().Draw(t, "power failure") {
			d = d.crash(rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0)))
		} else {
			require.NoError(t, s.Close())
		}
	}
}

// Two faults after each other, each at every step: a save that fails, perhaps on a
// sync that forgets what it was to write, and a power failure during a save of the
// process that goes on with the file.
func TestFileStoreTwoFaults(t *testing.T) {
	const steps = 16
	for first := range steps {
		for second := 1; second <= steps; second++ {
			for seed := range uint64(Share(32)) {
				d := storeOnDisk(t, 1)
				answered := saveUntilFault(t, d, first, true, 2, 3, 4)
				answered = max(answered, saveUntilFault(t, d, second, false, 5, 6))
				d = d.crash(rand.New(rand.NewPCG(seed, 0)))
				_, record := openStore(t, d)
				require.GreaterOrEqual(t, record.State.Term, max(1, answered), "steps %d and %d, seed %d", first, second, seed)
			}
		}
	}
}

// saveUntilFault saves the records in one process whose step failAt fails, and
// returns the last one that was answered.
func saveUntilFault(t *testing.T, d *fakeDisk, failAt int, forget bool, records ...uint64) (answered uint64) {
	t.Helper()
	s, _ := openStore(t, d)
	d.steps, d.failAt, d.forget = 0, failAt, forget
	for _, n := range records {
		if s.Save(stateNumber(n)) != nil {
			break
		}
		answered = n
	}
	d.failAt = 0
	require.NoError(t, s.Close())
	return answered
}

func TestFileStoreLock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "raft")
	first, second := &FileStore{Path: path}, &FileStore{Path: path}
	_, err := first.Open()
	require.NoError(t, err)
	_, err = second.Open()
	require.ErrorIs(t, err, ErrLocked)
	var refused *StoreError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, path, refused.Path)
	_, err = first.Open()
	require.ErrorIs(t, err, ErrLocked)
	require.NoError(t, first.Close())
	require.NoError(t, first.Close(), "it is closed")
	for _, s := range []*FileStore{second, first} { // Each may be opened again.
		_, err = s.Open()
		require.NoError(t, err)
		require.NoError(t, s.Save(stateNumber(1)))
		require.NoError(t, s.Close())
		require.NoError(t, s.Close())
	}
}

// The newest record may be in either slot, with an older one in the other. The first
// Save of the next process, wherever it fails or the power does, leaves that record
// or its own: it writes again what it has read, and then over the older one.
func TestFileStoreNewestInEitherSlot(t *testing.T) {
	for newest := range 2 {
		content := make([]byte, 0, stateFileSize)
		for i := range 2 {
			s := slot{sequence: 1, payload: mustEncode(t, stateNumber(1))}
			if i == newest {
				s = slot{sequence: 2, payload: mustEncode(t, stateNumber(2))}
			}
			var err error
			content, err = appendSlot(content, s)
			require.NoError(t, err)
		}
		for failAt := range 8 {
			for seed := range uint64(32) {
				d := diskWith(content)
				answered := max(2, saveUntilFault(t, d, failAt, true, 3, 4))
				d = d.crash(rand.New(rand.NewPCG(seed, 0)))
				_, record := openStore(t, d)
				require.GreaterOrEqual(t, record.State.Term, answered, "slot %d, step %d, seed %d", newest, failAt, seed)
			}
		}
	}
}

// A file that is corrupt is said to be that, and not to be an old one, though the
// lock file tells of a record that it does not have.
func TestFileStoreCorruptIsNotStale(t *testing.T) {
	d := storeOnDisk(t, 1)
	clear(d.cached["dir/raft"].cached)
	_, err := (&FileStore{Path: "dir/raft", fs: d}).Open()
	require.ErrorIs(t, err, ErrCorrupt)
	require.NotErrorIs(t, err, ErrStale)
}

// A mark that is short, of another kind or changed says nothing.
func TestUnreadableMarks(t *testing.T) {
	var b bytes.Buffer
	writeMark(writerAt{&b}, 7)
	mark := b.Bytes()
	require.EqualValues(t, 7, readMark(bytes.NewReader(mark)))
	require.Zero(t, readMark(bytes.NewReader(mark[:markSize-1])))
	require.Zero(t, readMark(bytes.NewReader(flipped(mark, 12))))
	other := append([]byte("CNSTRAFT"), mark[8:16]...)
	other = binary.BigEndian.AppendUint32(other, slotChecksum(other, nil))
	require.Zero(t, readMark(bytes.NewReader(other)))
}

// writerAt writes at the beginning only.
type writerAt struct{ io.Writer }

func (w writerAt) WriteAt(b []byte, _ int64) (int, error) { return w.Write(b) }

func TestFileStoreNeedsItsDirectory(t *testing.T) {
	s := &FileStore{Path: filepath.Join(t.TempDir(), "missing", "raft")}
	_, err := s.Open()
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestFileStoreSequenceEnds(t *testing.T) {
	d := newFakeDisk()
	s, _ := openStore(t, d)
	s.last = 1<<64 - 1
	require.ErrorContains(t, s.Save(stateNumber(1)), "no sequence is left")
	require.Zero(t, d.steps)
}

func TestSlotTooLarge(t *testing.T) {
	_, err := appendSlot(nil, slot{payload: make([]byte, slotMaxPayload)})
	require.NoError(t, err)
	_, err = appendSlot(nil, slot{payload: make([]byte, slotMaxPayload+1)})
	require.ErrorIs(t, err, ErrTooLarge)
}

// FuzzStateFile opens any content. Whatever can be opened can be saved again,
// and is then found unchanged and undamaged.
func FuzzStateFile(f *testing.F) {
	d := newFakeDisk()
	s, _ := openStore(f, d)
	require.NoError(f, s.Save(stateNumber(1)))
	require.NoError(f, s.Save(stateNumber(2)))
	f.Add(d.cached["dir/raft"].cached)
	f.Add([]byte(slotMagic))
	f.Fuzz(func(t *testing.T, content []byte) {
		d := diskWith(content)
		s := &FileStore{Path: "dir/raft", fs: d}
		record, err := s.Open()
		if err != nil {
			require.True(t, errors.Is(err, ErrCorrupt) || errors.Is(err, ErrForeign), "%v", err)
			return
		}
		require.NoError(t, s.Save(record.State))
		require.NoError(t, s.Close())
		_, again := openStore(t, d)
		require.True(t, again.State.Equal(record.State))
		require.NoError(t, again.Damage)
	})
}

func mustEncode(t *testing.T, state HardState) []byte {
	t.Helper()
	b, err := state.AppendBinary(nil)
	require.NoError(t, err)
	return b
}

func flipped(content []byte, i int) []byte {
	content = bytes.Clone(content)
	content[i] ^= 0x80
	return content
}

func diskWith(content []byte) *fakeDisk {
	d := newFakeDisk()
	f := &fakeFile{cached: bytes.Clone(content), durable: bytes.Clone(content)}
	d.cached["dir/raft"], d.durable["dir/raft"] = f, f
	return d
}

// A node that has run before starts on a full disk; one that has not leaves no
// half file behind.
func TestFileStoreOnAFullDisk(t *testing.T) {
	d := storeOnDisk(t, 1)
	d.full = true
	for n := uint64(2); n < 5; n++ {
		s, record := openStore(t, d)
		require.Equal(t, n-1, record.State.Term)
		require.NoError(t, s.Save(stateNumber(n)))
		require.NoError(t, s.Close())
	}

	d = newFakeDisk()
	s, _ := openStore(t, d)
	d.failAt = d.steps + 2 // the first write
	require.ErrorIs(t, s.Save(stateNumber(1)), errFault)
	require.NotContains(t, d.cached, "dir/raft.tmp")
}
