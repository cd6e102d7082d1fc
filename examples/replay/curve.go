package main

import "github.com/rads-project/constellation/placement"

// share is how much of the cluster is allocated, in per cent.
type share struct {
	gpu, cpu float64
}

// amount returns the share of one dimension, GPU or CPU.
func (s share) amount(name placement.ResourceName) float64 {
	if name == placement.NameGPU {
		return s.gpu
	}
	return s.cpu
}

// curve is the allocation while work arrives. Its element n is the mean of
// all shares that were added at n per cent of load.
type curve []mean

type mean struct {
	sum   share
	count int
}

func (m mean) value() share {
	return share{m.sum.gpu / float64(m.count), m.sum.cpu / float64(m.count)}
}

// add enters what is allocated when percent has arrived. It takes time and
// memory linear in percent.
func (c *curve) add(percent int, s share) {
	for len(*c) <= percent {
		*c = append(*c, mean{})
	}
	m := &(*c)[percent]
	m.sum.gpu += s.gpu
	m.sum.cpu += s.cpu
	m.count++
}

// end returns the share at the highest load; zero if nothing has arrived.
func (c curve) end() share {
	if len(c) == 0 {
		return share{}
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
