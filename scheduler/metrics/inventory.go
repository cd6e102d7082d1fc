package metrics

import (
	"github.com/rads-project/constellation/placement"
	"github.com/rads-project/constellation/quota"
	"github.com/rads-project/constellation/reservation"
	"github.com/rads-project/constellation/scheduler"
)

// inventoryFamilies are read from Inventory.
func inventoryFamilies() []family {
	states := []scheduler.NodeState{
		scheduler.NodeReady, scheduler.NodeCordoned, scheduler.NodeLost, scheduler.NodeUnreported, scheduler.NodeClosed,
	}
	phases := []reservation.State{
		reservation.Pending, reservation.Active, reservation.Degraded, reservation.Expiring, reservation.Displaced,
	}
	return []family{
		{
			Family: Family{Name: prefix + "nodes", Kind: Gauge, Labels: []string{"state"}, Help: "Nodes by state"},
			read: ifReadable(func(l *look, emit func(float64, ...string)) {
				for _, state := range states {
					emit(float64(l.inventory.Nodes[state]), string(state))
				}
			}),
		},
		supply("capacity", "What all nodes give to instances, whatever their state", func(s *scheduler.Supply) int64 { return s.Capacity }),
		supply("used", "What instances have", func(s *scheduler.Supply) int64 { return s.Used }),
		supply("held", "What reservations hold", func(s *scheduler.Supply) int64 { return s.Held }),
		supply("free", "What is left on nodes that are ready", func(s *scheduler.Supply) int64 { return s.Free }),
		supply("largest_fit", "The most that one request can get", func(s *scheduler.Supply) int64 { return s.Largest }),
		supply("stranded", "What is free and of no use, since too little CPU or memory is left beside it", func(s *scheduler.Supply) int64 { return s.Stranded }),
		{
			Family: Family{Name: prefix + "quota_limits", Kind: Gauge, Labels: []string{"standing"}, Help: "Limits of quotas by how they stand: within soft, bursting, or over what is admitted"},
			read: ifReadable(func(l *look, emit func(float64, ...string)) {
				emit(float64(l.inventory.Limits.Within), "within")
				emit(float64(l.inventory.Limits.Bursting), "bursting")
				emit(float64(l.inventory.Limits.Over), "over")
			}),
		},
		{
			Family: Family{Name: prefix + "reservations", Kind: Gauge, Labels: []string{"state"}, Help: "Reservations by state"},
			read: ifReadable(func(l *look, emit func(float64, ...string)) {
				for _, state := range phases {
					emit(float64(l.inventory.Reservations[state]), string(state))
				}
			}),
		},
	}
}

// ifReadable reads nothing of a state that could not be read.
func ifReadable(read func(*look, func(float64, ...string))) func(*look, func(float64, ...string)) {
	return func(l *look, emit func(float64, ...string)) {
		if l.readable == nil {
			read(l, emit)
		}
	}
}

// amountHelp says in which units amounts are.
const amountHelp = ": cores, bytes, bits per second, GPUs, or units of a custom dimension"

func supply(name, help string, of func(*scheduler.Supply) int64) family {
	return family{
		Family: Family{Name: prefix + "resource_" + name, Kind: Gauge, Labels: []string{"resource"}, Help: help + amountHelp},
		read: ifReadable(func(l *look, emit func(float64, ...string)) {
			custom := 0
			for i := range l.inventory.Supplies {
				s := &l.inventory.Supplies[i]
				if isCustom(s.Resource) {
					if custom++; custom > customResources && !l.everything {
						break // they come last
					}
				}
				emit(amount(s.Resource, of(s)), string(s.Resource))
			}
		}),
	}
}

// customResources is how many dimensions beyond the named ones have series by default.
const customResources = 3

func isCustom(name placement.ResourceName) bool {
	switch name {
	case placement.NameCPU, placement.NameMemory, placement.NameDisk, placement.NameNetwork, placement.NameGPU, placement.NameInstances:
		return false
	default:
		return true
	}
}

// amount is an amount as the value of a sample: in whole cores and GPUs.
func amount(name placement.ResourceName, n int64) float64 {
	switch name {
	case placement.NameCPU:
		return float64(n) / placement.Core
	case placement.NameGPU:
		return float64(n) / placement.Device
	default:
		return float64(n)
	}
}

// nodeFamilies have series for each node.
func nodeFamilies() []family {
	of := func(name, help string, amounts func(*scheduler.NodeInfo) placement.Resources) family {
		return family{
			Family: Family{Name: prefix + "node_" + name, Kind: Gauge, Labels: []string{"node", "resource"}, Help: help + amountHelp},
			read: ifReadable(func(l *look, emit func(float64, ...string)) {
				for i := range l.nodes {
					n := &l.nodes[i]
					for resource, value := range amounts(n).All() {
						emit(amount(resource, value), n.ID, string(resource))
					}
				}
			}),
		}
	}
	return []family{
		of("capacity", "What a node gives to instances", func(n *scheduler.NodeInfo) placement.Resources { return n.Total }),
		of("used", "What instances have of a node", func(n *scheduler.NodeInfo) placement.Resources { return n.Allocated }),
		of("held", "What reservations hold of a node", func(n *scheduler.NodeInfo) placement.Resources { return n.Held }),
		{
			Family: Family{Name: prefix + "node_instances", Kind: Gauge, Labels: []string{"node"}, Help: "Instances on a node"},
			read: ifReadable(func(l *look, emit func(float64, ...string)) {
				for i := range l.nodes {
					emit(float64(l.nodes[i].Instances), l.nodes[i].ID)
				}
			}),
		},
		{
			Family: Family{Name: prefix + "node_ready", Kind: Gauge, Labels: []string{"node"}, Help: "Whether a node takes work"},
			read: ifReadable(func(l *look, emit func(float64, ...string)) {
				for i := range l.nodes {
					emit(flag(l.nodes[i].State == scheduler.NodeReady), l.nodes[i].ID)
				}
			}),
		},
	}
}

// namespaceFamilies have series for each quota.
func namespaceFamilies() []family {
	of := func(name, help string, value func(*quota.Usage) (int64, bool)) family {
		return family{
			Family: Family{Name: prefix + "quota_" + name, Kind: Gauge, Labels: []string{"namespace", "resource"}, Help: help + amountHelp},
			read: ifReadable(func(l *look, emit func(float64, ...string)) {
				for _, q := range l.quotas {
					for i := range q.Usage {
						if n, ok := value(&q.Usage[i]); ok {
							emit(amount(q.Usage[i].Resource, n), q.Namespace, string(q.Usage[i].Resource))
						}
					}
				}
			}),
		}
	}
	return []family{
		of("used", "What a namespace with a quota uses", func(u *quota.Usage) (int64, bool) { return u.Used, true }),
		of("soft", "Up to where a namespace may use a resource forever", func(u *quota.Usage) (int64, bool) { return u.Soft, u.Limited() }),
		of("ceiling", "Up to where a namespace may burst", func(u *quota.Usage) (int64, bool) { return u.Ceiling, u.Limited() }),
	}
}
