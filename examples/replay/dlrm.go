package main

import (
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"strconv"

	"github.com/rads-project/constellation/placement"
)

// dlrmList is the name of the list of inference instances; dlrmNodes is that of the
// GPU nodes that they are placed on.
const (
	dlrmList  = "dlrm_instances"
	dlrmNodes = "gpu_nodes_2026"
)

// nameRDMA is the dimension of network cards for remote memory access, in per cent
// of one.
const nameRDMA = "rdma"

// Largest amounts that the dlrm files may name.
const (
	maxCores = maxMilliCPU / placement.Core
	maxGiB   = maxMemoryMiB / 1024
	maxRDMA  = 1_000_000
)

// parseDLRMNodes reads a list of GPU nodes: node_name, gpu_model, gpu_capacity_num
// and cpu_num. Each node is valid and its ID unique.
func parseDLRMNodes(file string, src io.Reader) ([]placement.Node, error) {
	var nodes []placement.Node
	columns := []string{"node_name", "gpu_model", "gpu_capacity_num", "cpu_num"}
	err := parseTable(file, src, columns, func(r *row) error {
		devices := placement.Devices{Count: int(r.number("gpu_capacity_num", placement.MaxDevices)), Model: r.text("gpu_model")}
		n := dlrmNode(r.text("node_name"), r.number("cpu_num", maxCores), 8, devices)
		nodes = append(nodes, n)
		return errors.Join(r.err, n.Validate())
	})
	return nodes, err
}

// dlrmNode returns a node with what its list does not say: GiB of memory for each
// core, 8 GiB of disk for each core and 1 TiB for each GPU, and a network card for
// every four GPUs, at least one.
func dlrmNode(id string, cores, memoryPerCore int64, devices placement.Devices) placement.Node {
	cards := max(1, (int64(devices.Count)+3)/4)
	return placement.Node{
		ID: id,
		Capacity: placement.Resources{
			CPU:    cores * placement.Core,
			Memory: cores * memoryPerCore * placement.GiB,
			Disk:   cores*8*placement.GiB + int64(devices.Count)*placement.TiB,
			Custom: map[string]int64{nameRDMA: 100 * cards},
		},
		Devices: devices,
	}.Canonical()
}

// parseDLRMTasks reads a list of inference instances: instance_sn, app_name, what they
// request of cores, GPUs, per cent of a network card, GiB of memory and of disk, and
// how many of the app a node may run, -1 for any number. Other columns are ignored.
// Each request is valid and its ID unique.
func parseDLRMTasks(file string, src io.Reader) ([]placement.Request, error) {
	var tasks []placement.Request
	columns := []string{
		"instance_sn", "app_name", "cpu_request", "gpu_request", "rdma_request", "memory_request", "disk_request",
		"max_instance_per_node",
	}
	err := parseTable(file, src, columns, func(r *row) error {
		req := placement.Request{
			ID: r.text("instance_sn"), Group: r.text("app_name"),
			Resources: placement.Resources{
				CPU:    r.number("cpu_request", maxCores) * placement.Core,
				Memory: r.gibibytes("memory_request"),
				Disk:   r.gibibytes("disk_request"),
				GPU:    r.number("gpu_request", placement.MaxDevices) * placement.Device,
			}.With(nameRDMA, r.number("rdma_request", maxRDMA)),
		}
		if r.text("max_instance_per_node") != "-1" {
			most := r.number("max_instance_per_node", math.MaxInt32)
			req.Preferences = req.Preferences.Across(placement.AtMostPer("", int(most)))
		}
		tasks = append(tasks, req)
		return errors.Join(r.err, req.Validate())
	})
	return tasks, err
}

// gibibytes returns a cell of GiB, with a fraction or without, in bytes.
func (r *row) gibibytes(column string) int64 {
	amount, err := strconv.ParseFloat(r.text(column), 64)
	// Written so that NaN fails.
	if err != nil || !(amount >= 0 && amount <= maxGiB) {
		r.fail("%s %q: want a number from 0 to %d", column, r.text(column), maxGiB)
		return 0
	}
	return int64(math.Round(amount * placement.GiB))
}

// maxCPUNodes is how many nodes without GPUs are generated at most.
const maxCPUNodes = 100_000

// generateCPUNodes returns nodes without GPUs that bring a cluster of GPU nodes to as
// many cores for each GPU as the tasks ask; none if nobody asks for GPUs. The seed
// chooses the size of each: 96, 128 or 192 cores with 4 or 8 GiB of memory each.
func generateCPUNodes(gpuNodes []placement.Node, tasks []placement.Request, seed uint64) ([]placement.Node, error) {
	var cpu, gpu, asksCPU, asksGPU int64
	for _, n := range gpuNodes {
		cpu += n.Capacity.CPU
		gpu += n.Capacity.GPU
	}
	for _, t := range tasks {
		asksCPU += t.Resources.CPU
		asksGPU += t.Resources.GPU
	}
	if asksGPU == 0 {
		return nil, nil
	}
	wanted, ok := placement.Ratio{Numerator: asksCPU, Denominator: asksGPU}.Scale(gpu)
	if !ok {
		return nil, errors.New("the instances ask for more CPU than can be counted")
	}
	draw := rand.New(rand.NewPCG(seed, 1))
	var nodes []placement.Node
	for cpu < wanted {
		if len(nodes) == maxCPUNodes {
			return nil, fmt.Errorf("more than %d nodes without GPUs to match what the instances ask", maxCPUNodes)
		}
		cores, memory := []int64{96, 128, 192}[draw.IntN(3)], []int64{4, 8}[draw.IntN(2)]
		n := dlrmNode(fmt.Sprintf("cpu-%04d", len(nodes)), cores, memory, placement.Devices{})
		nodes = append(nodes, n)
		cpu += n.Capacity.CPU
	}
	return nodes, nil
}
