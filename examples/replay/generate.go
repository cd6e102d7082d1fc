package main

import (
	"fmt"

	"github.com/rads-project/constellation/placement"
)

// nodeKind is a model of machine and how many there are.
type nodeKind struct {
	count, cores, memoryGiB, gpus int
	model                         string
}

// gpuNodeKinds are the machines of the published cluster: 1,213 nodes with
// 6,212 GPUs of 7 models and 107,000 cores.
func gpuNodeKinds() []nodeKind {
	return []nodeKind{
		{549, 96, 384, 8, "G2"},
		{387, 104, 512, 2, "T4"},
		{107, 16, 120, 2, "P100"},
		{39, 128, 768, 8, "G3"},
		{28, 32, 128, 4, "V100M16"},
		{22, 64, 256, 2, "P100"},
		{21, 96, 768, 8, "V100M32"},
		{19, 8, 32, 1, "V100M16"},
		{17, 96, 384, 4, "T4"},
		{9, 48, 368, 4, "V100M32"},
		{8, 64, 256, 8, "V100M16"},
		{3, 8, 60, 1, "P100"},
		{2, 8, 60, 2, "P100"},
		{2, 128, 1024, 1, "A10"},
	}
}

// plainNodeKinds are its 310 machines without GPUs.
func plainNodeKinds() []nodeKind {
	return []nodeKind{
		{139, 32, 256, 0, ""},
		{59, 96, 512, 0, ""},
		{34, 64, 512, 0, ""},
		{31, 96, 384, 0, ""},
		{24, 104, 512, 0, ""},
		{23, 32, 128, 0, ""},
	}
}

// taskKind is a shape of task and how many there are. GPUs are in
// thousandths.
type taskKind struct {
	count, milliCPU, memoryGiB, milliGPU int
}

// taskKinds have the proportions of the published tasks: of 8,152, 1,088 ask
// no GPU, 3,078 share one, 3,911 ask one whole and 75 two to eight.
func taskKinds() []taskKind {
	return []taskKind{
		{400, 12_500, 56, 0},
		{320, 32_000, 48, 0},
		{200, 8_000, 30, 0},
		{168, 16_000, 50, 0},

		{1047, 3_150, 5, 810},
		{600, 4_000, 22, 320},
		{431, 4_000, 15, 200},
		{400, 11_900, 46, 470},
		{360, 8_000, 30, 470},
		{240, 11_900, 46, 650},

		{900, 11_300, 48, 1000},
		{540, 11_400, 47, 1000},
		{500, 12_000, 24, 1000},
		{500, 9_800, 40, 1000},
		{480, 3_150, 5, 1000},
		{400, 18_700, 63, 1000},
		{300, 8_000, 16, 1000},
		{291, 15_700, 57, 1000},

		{24, 24_000, 96, 2000},
		{9, 48_000, 192, 4000},
		{42, 64_000, 256, 8000},
	}
}

// generateNodes returns a cluster of the published proportions, kind by kind.
func generateNodes(all bool) []placement.Node {
	kinds := gpuNodeKinds()
	if all {
		kinds = append(kinds, plainNodeKinds()...)
	}
	var nodes []placement.Node
	for _, k := range kinds {
		for range k.count {
			nodes = append(nodes, placement.Node{
				ID: fmt.Sprintf("node-%04d", len(nodes)),
				Capacity: placement.Resources{
					CPU:    int64(k.cores) * placement.Core,
					Memory: int64(k.memoryGiB) * placement.GiB,
				},
				Devices: placement.Devices{Count: k.gpus, Model: k.model},
			}.Canonical())
		}
	}
	return nodes
}

// generateTasks returns tasks of the published proportions, kind by kind; the
// order of arrival is drawn later.
func generateTasks() []placement.Request {
	var tasks []placement.Request
	for _, k := range taskKinds() {
		for range k.count {
			tasks = append(tasks, placement.Request{
				ID: fmt.Sprintf("task-%04d", len(tasks)),
				Resources: placement.Resources{
					CPU:    int64(k.milliCPU) * placement.Millicore,
					Memory: int64(k.memoryGiB) * placement.GiB,
					GPU:    int64(k.milliGPU) * placement.MilliGPU,
				},
			})
		}
	}
	return tasks
}
