package main

import "github.com/rads-project/constellation/placement"

// share is how much of the cluster is allocated, in per cent of each dimension that
// it has some of.
type share map[placement.ResourceName]float64

// shareOf returns which share of the total is used.
func shareOf(used, total placement.Resources) share {
	s := make(share)
	for name, amount := range total.All() {
		if amount > 0 {
			s[name] = percent(used.Amount(name), amount)
		}
	}
	return s
}

// add adds a share divided by n.
func (s share) add(other share, n int) {
	for name, percent := range other {
		s[name] += percent / float64(n)
	}
}

// curve is the allocation while work arrives. Its element n is the mean of
// all shares that were added at n per cent of load.
type curve []mean

type mean struct {
	sum   share
	count int
}

func (m mean) value() share {
	value := make(share, len(m.sum))
	value.add(m.sum, m.count)
	return value
}

// add enters what is allocated when percent has arrived. It takes time and
// memory linear in percent.
func (c *curve) add(percent int, s share) {
	for len(*c) <= percent {
		*c = append(*c, mean{sum: make(share)})
	}
	m := &(*c)[percent]
	m.sum.add(s, 1)
	m.count++
}

// end returns the share at the highest load; none if nothing has arrived.
func (c curve) end() share {
	if len(c) == 0 {
		return nil
	}
	return c[len(c)-1].value()
}

// merge returns the mean of several curves, each counting once wherever it
// has a value.
func merge(curves []curve) curve {
	var merged curve
	for _, c := range curves {
		for percent, m := range c {
			if m.count > 0 {
				merged.add(percent, m.value())
			}
		}
	}
	return merged
}

// percent returns part of total in per cent.
func percent(part, total int64) float64 {
	if total == 0 {
		return 0
	}
	return 100 * float64(part) / float64(total)
}

// roundedPercent returns part of total in whole per cent, halves up.
func roundedPercent(part, total int64) int {
	return int((200*part + total) / (2 * total))
}
