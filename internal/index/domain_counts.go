package index

// domainCounts counts things by domain number, sparsely while few domains have any.
type domainCounts struct {
	sparse  map[int32]int32
	dense   []int32
	nonzero int
	total   int64
	// levels[c] is how many domains count c, for c > 0; nil until ranks asks.
	levels []int32
}

// tallyShare is the share of the domains with a count from which a tally
// becomes a plain list.
const tallyShare = 8

func (t *domainCounts) at(domain int32) int32 {
	if t.dense != nil {
		if int(domain) < len(t.dense) {
			return t.dense[domain]
		}
		return 0
	}
	return t.sparse[domain]
}

// add changes a count by delta; domains is how many domains there are, and up
// to dense of them are counted in a plain list anyway.
func (t *domainCounts) add(domain, delta int32, domains, dense int) {
	t.total += int64(delta)
	if t.dense == nil && (domains <= dense || t.nonzero > domains/tallyShare) {
		t.dense = make([]int32, domains)
		for known, count := range t.sparse {
			t.dense[known] = count
		}
		t.sparse = nil
	}
	var before, after int32
	if t.dense != nil {
		for int(domain) >= len(t.dense) {
			t.dense = append(t.dense, 0)
		}
		before = t.dense[domain]
		after = before + delta
		t.dense[domain] = after
	} else {
		if t.sparse == nil {
			t.sparse = make(map[int32]int32)
		}
		before = t.sparse[domain]
		if after = before + delta; after == 0 {
			delete(t.sparse, domain)
		} else {
			t.sparse[domain] = after
		}
	}
	if before == 0 && after != 0 {
		t.nonzero++
	} else if before != 0 && after == 0 {
		t.nonzero--
	}
	if t.levels != nil {
		t.levels[before]--
		t.enter(after)
	}
}

// enter counts a domain under its count.
func (t *domainCounts) enter(count int32) {
	for int(count) >= len(t.levels) {
		t.levels = append(t.levels, 0)
	}
	t.levels[count]++
}

// each calls yield with every domain that has a count, in no fixed order: what
// is computed from it must not depend on the order.
func (t *domainCounts) each(yield func(domain, count int32) bool) {
	for domain, count := range t.dense {
		if count != 0 && !yield(int32(domain), count) {
			return
		}
	}
	for domain, count := range t.sparse {
		if !yield(domain, count) {
			return
		}
	}
}

// ranks appends the counts that domains have, each once, ascending. The first
// call takes time in proportion to the domains, later ones to the greatest
// count there ever was.
func (t *domainCounts) ranks(counts []int32) []int32 {
	if t.levels == nil {
		t.levels = make([]int32, 1)
		for _, count := range t.each {
			t.enter(count)
		}
	}
	for count := 1; count < len(t.levels); count++ {
		if t.levels[count] > 0 {
			counts = append(counts, int32(count))
		}
	}
	return counts
}
