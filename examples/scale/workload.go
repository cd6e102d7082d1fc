package main

import (
	"strconv"

	"github.com/rads-project/constellation/placement"
)

// makeNode returns the i-th node of a cluster of four sizes in eight zones,
// with five labels.
func makeNode(i int) placement.Node {
	cores := []int64{32, 48, 64, 96}[i%4]
	id := "node-" + strconv.Itoa(i)
	return placement.Node{
		ID: id,
		Capacity: placement.Resources{
			CPU: cores * placement.Core, Memory: 4 * cores * placement.GiB, Disk: placement.TB,
		},
		Labels: map[string]string{
			"zone": "z" + strconv.Itoa(i%8), "rack": "r" + strconv.Itoa(i/40), "disk": []string{"ssd", "hdd"}[i%2],
			"arch": "amd64", "host": id,
		},
	}
}

// makeTask returns the i-th task: 0.1 to 8 cores and 1 to 16 GiB, in one of a
// thousand jobs. No two tasks ask for the same amount of memory, so that no
// answer can be remembered from one for another.
func makeTask(i int) placement.Request {
	return placement.Request{
		ID: "task-" + strconv.Itoa(i), Namespace: "batch", Group: "job-" + strconv.Itoa(i%1000),
		Resources: placement.Resources{
			CPU:    100 + int64(i)*2_654_435_761%7900,
			Memory: placement.GiB + int64(i)*2_654_435_761%(15*placement.GiB),
			Disk:   placement.GiB,
		},
	}
}
