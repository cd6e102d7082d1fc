package sim

import (
	"encoding/binary"
	"hash/crc32"
	"hash/fnv"
	"time"

	"github.com/rads-project/constellation/raft"
)

// image is the state of an application, and what its snapshot holds: how many entries
// it has applied, and a hash of them all.
type image struct {
	applied, hash uint64
}

// after returns the state once one more entry is applied.
func (i image) after(e raft.Entry) image {
	h := fnv.New64a()
	var b [24]byte
	binary.BigEndian.PutUint64(b[:], i.hash)
	binary.BigEndian.PutUint64(b[8:], e.Index)
	binary.BigEndian.PutUint64(b[16:], e.Term)
	_, _ = h.Write(b[:]) // It never fails, see hash.Hash.
	_, _ = h.Write(e.Data)
	return image{e.Index, h.Sum64()}
}

// contents returns the snapshot of a state: up to three chunks, more or less.
func (i image) contents() []byte {
	b := make([]byte, 16+i.hash%9_000)
	binary.BigEndian.PutUint64(b, i.applied)
	binary.BigEndian.PutUint64(b[8:], i.hash)
	return b
}

func readImage(b []byte) image {
	return image{binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:])}
}

func checksum(b []byte) uint32 { return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) }

// snapshot has a node keep a snapshot of what it has applied, behind what it appends.
func (n *member) snapshot() {
	if n.core == nil || n.log.image.applied == 0 {
		return
	}
	image := n.log.image
	contents := image.contents()
	s := raft.Snapshot{Last: n.log.last, Size: int64(len(contents)), Checksum: checksum(contents)}
	n.write(write{kept: s, image: image}, func(c *raft.Core, now time.Duration) raft.Effects {
		n.world.counts.Snapshots++
		return c.Compact(now, s)
	})
}

// keep makes a snapshot that of the disk, unless it has a later one.
func (j *journal) keep(s raft.Snapshot, of image) {
	if s.Last.Index <= j.kept.Last.Index {
		return
	}
	has := false
	for _, e := range j.entries {
		has = has || e.Index == s.Last.Index && e.Term == s.Last.Term
	}
	if !has {
		j.entries = nil
	}
	if j.images == nil {
		j.images = make(map[raft.Snapshot]image)
	}
	j.kept, j.images[s] = s, of
}

// receive writes a chunk of a snapshot, and keeps that with the last one.
func (n *member) receiveChunk(chunk raft.Chunk) {
	s := chunk.Snapshot
	if s == (raft.Snapshot{}) {
		return
	}
	if chunk.Offset == 0 {
		n.log.chunks = nil
	}
	n.log.chunks = append(n.log.chunks, chunk.Data...)
	n.world.counts.Chunks++
	received := int64(len(n.log.chunks))
	w := write{}
	if chunk.IsLast() {
		if checksum(n.log.chunks) != s.Checksum {
			n.world.oracle.breaks("O12", "%s has received a snapshot with a wrong checksum", n.cfg.ID)
			return
		}
		w = write{kept: s, image: readImage(n.log.chunks)}
	}
	n.write(w, func(c *raft.Core, now time.Duration) raft.Effects { return c.Received(now, s, received) })
}

// restore has the application take the state of a snapshot.
func (n *member) restore(s raft.Snapshot) {
	if s == (raft.Snapshot{}) {
		return
	}
	w, boot := n.world, n.boot
	w.counts.Restores++
	n.log.image, n.log.last = n.log.images[s], s.Last
	w.oracle.restored(n)
	w.after(w.between(0, 2*ms), func() {
		if n.boot == boot && n.up {
			n.tell(func(c *raft.Core, now time.Duration) raft.Effects { return c.Applied(now, s.Last.Index) })
		}
	})
}

// restored checks the state of an application that has taken it from a snapshot.
func (o *oracle) restored(n *member) {
	i := n.log.image
	if i.applied > uint64(len(o.images)) || o.images[i.applied-1] != i {
		o.breaks("O12", "%s restores the state of other entries than the first %d", n.cfg.ID, i.applied)
	}
}

// compact has some node make a snapshot, again and again.
func (c *chaos) compact() {
	if c.over {
		return
	}
	c.nodes[c.random.IntN(len(c.nodes))].snapshot()
	c.after(c.between(0, 200*ms), c.compact)
}
