package main

import (
	"cmp"
	"slices"
	"strings"

	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/scheduler"
)

// typicalPercent is which part of all tasks the typical mix covers.
const typicalPercent = 95

// typicalMix returns what the published experiment takes for typical: the
// kinds of tasks by CPU, GPUs and models, the most frequent ones until they
// cover typicalPercent of all.
func typicalMix(tasks []placement.Request) []scheduler.WorkloadClass {
	type kind struct {
		cpu, gpu int64
		models   string
	}
	counts := make(map[kind]int64)
	for _, t := range tasks {
		k := kind{cpu: t.Resources.CPU, gpu: t.Resources.GPU}
		for _, c := range t.Preferences.Required {
			k.models = strings.Join(c.Values(), "|")
		}
		counts[k]++
	}
	kinds := make([]kind, 0, len(counts))
	for k := range counts {
		kinds = append(kinds, k)
	}
	slices.SortFunc(kinds, func(a, b kind) int {
		return cmp.Or(
			cmp.Compare(counts[b], counts[a]),
			cmp.Compare(a.cpu, b.cpu), cmp.Compare(a.gpu, b.gpu), cmp.Compare(a.models, b.models))
	})
	var (
		mix     []scheduler.WorkloadClass
		covered int64
	)
	for _, k := range kinds {
		if covered*100 >= int64(len(tasks))*typicalPercent {
			break
		}
		typical := scheduler.WorkloadClass{Resources: placement.Resources{CPU: k.cpu, GPU: k.gpu}, Count: counts[k]}
		if k.models != "" {
			typical.Models = strings.Split(k.models, "|")
		}
		mix = append(mix, typical)
		covered += counts[k]
	}
	return mix
}
