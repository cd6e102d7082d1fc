package raft

import "slices"

// logReader puts a log together from the batches of its segments, which it is given in
// their order.
type logReader struct {
	sequence uint64 // of the last batch, 0 before the first
	checksum uint32 // of the last batch
	unproven bool   // what its flag says
	partial  bool   // segments before the first that was read are compacted
	before   Position
	entries  []Entry // that follow before
	highest  uint64  // index of an entry in the segment that was read last
	lastAt   int     // where in it the last batch begins, 0 if there is none
}

// last returns where the log ends.
func (r *logReader) last() Position {
	if n := len(r.entries); n > 0 {
		return r.entries[n-1].position()
	}
	return r.before
}

// term returns the term of an entry that the log has.
func (r *logReader) term(index uint64) (uint64, bool) {
	switch {
	case index == r.before.Index:
		return r.before.Term, true
	case index < r.before.Index || index > r.last().Index:
		return 0, false
	default:
		return r.entries[index-r.before.Index-1].Term, true
	}
}

// read takes in the batches of a segment. It returns the offset at which they end, and
// what is wrong there, nil if it is a slot of zeros or the end of the segment.
func (r *logReader) read(number uint64, content []byte) (end int, damage error) {
	r.highest, r.lastAt = 0, 0
	at := segmentHeader
	for at+batchUnit <= len(content) && !isBlank(content[at:at+batchUnit]) {
		h, err := r.next(number, content, at)
		if err != nil {
			return at, err
		}
		r.lastAt = at
		at += int(h.size())
	}
	return at, nil
}

// next takes in the batch at an offset, all of it or nothing.
func (r *logReader) next(number uint64, content []byte, at int) (batch, error) {
	h, err := parseBatch(content[at : at+batchUnit])
	if err != nil {
		return h, err
	}
	begins := r.sequence == 0 && number > 1
	switch {
	case h.segment != number || int64(h.offset) != int64(at):
		return h, errBatchPlace
	case h.size() > int64(len(content)-at):
		return h, errBatchLength
	case !begins && (h.sequence != r.sequence+1 || h.previous != r.checksum):
		return h, errBatchMissing
	}
	body := content[at+batchUnit:][:h.length]
	if h.body != checksum(body) {
		return h, errBatchChecksum
	}
	d := decoder{rest: body}
	entries, ok := d.entries(h.before.Index)
	if begins {
		r.partial, r.before = true, h.before
	}
	if !ok || uint64(len(entries)) != uint64(h.count) || !r.take(h, entries) {
		return h, errBatchContents
	}
	r.sequence, r.checksum, r.unproven = h.sequence, h.checksum, h.flags&batchUnproven != 0
	return h, nil
}

// take does to the log what a batch says, and reports whether it can.
func (r *logReader) take(h batch, entries []Entry) bool {
	switch h.kind {
	case batchRestart:
		r.before, r.entries = h.before, nil
		return len(entries) == 0
	case batchCut:
		return len(entries) == 0 && h.before == r.last()
	case batchEntries:
		if r.partial && h.before.Index < r.before.Index { // It replaces what a segment had that is gone.
			r.before, r.entries = h.before, nil
		}
		term, found := r.term(h.before.Index)
		if !found || term != h.before.Term || len(entries) == 0 {
			return false
		}
		r.entries = append(r.entries[:h.before.Index-r.before.Index], entries...)
		r.highest = max(r.highest, r.last().Index)
		return true
	default:
		return false
	}
}

// laterBatch returns where in a segment there is the header of a batch, at an offset or
// behind it.
func laterBatch(number uint64, content []byte, from int) (at int, found bool) {
	for at = from; at+batchUnit <= len(content); at += batchUnit {
		h, err := parseBatch(content[at : at+batchUnit])
		if err == nil && h.segment == number && int64(h.offset) == int64(at) {
			return at, true
		}
	}
	return 0, false
}

// runs returns the first entry of each run of entries of one term.
func (r *logReader) runs() []Position {
	var runs []Position
	for i := range r.entries {
		if n := len(runs); n == 0 || runs[n-1].Term != r.entries[i].Term {
			runs = append(runs, r.entries[i].position())
		}
	}
	return slices.Clip(runs)
}
