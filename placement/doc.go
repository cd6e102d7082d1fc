// Package placement describes what a scheduler places: what a node offers, what
// an instance asks for, on which nodes it may run and which it prefers. Package
// scheduler chooses a node by the rules stated here.
//
// Most programs need three types: a [Node], a [Request] and its [Preferences].
//
//	package main
//
//	import (
//		"errors"
//		"fmt"
//		"log"
//
//		"github.com/rads-project/constellation/placement"
//	)
//
//	func main() {
//		node := placement.Node{
//			ID:       "n1",
//			Capacity: placement.Resources{CPU: 32 * placement.Core, Memory: 128 * placement.GiB},
//			Labels:   map[string]string{"region": "us-east-1", "disk": "ssd", "price": "250"},
//		}
//		request := placement.Request{
//			ID: "web-1", Namespace: "team-backend", Group: "web",
//			Resources: placement.Resources{CPU: 4 * placement.Core, Memory: 8 * placement.GiB},
//			Preferences: placement.Use(placement.BinPack).
//				Require(placement.In("region", "us-east-1", "us-east-2")).
//				Prefer(placement.Equal("disk", "ssd"), 50).
//				PreferScaled("price", -30).
//				Across(placement.EvenlyOver("zone", 1)).
//				TolerateExists("dedicated"),
//		}
//		if err := errors.Join(node.Validate(), request.Validate()); err != nil {
//			log.Fatal(err)
//		}
//		fmt.Println(request.Resources.FitsIn(node.Allocatable()))
//		fmt.Println(node.Meets(request.Preferences.Required[0]))
//	}
//
// AddNode and Place of package scheduler take both, and decide.
//
// Everything here is a plain value, written as a literal or decoded from JSON.
// Validate reports every mistake in it at once. Each is an [InvalidError] with
// the path of the field, and unwraps to [ErrInvalid].
//
// The sections say what may be asked for, first how much and then where; what it is
// called in other schedulers; how nodes are refused and ordered. The end is for those
// who build on the package: its limits and what it promises.
//
// # Resources
//
// [Resources] are int64 amounts: CPU in millicores, memory and disk in bytes,
// network in bits per second, GPUs in thousandths of a device, and up to
// 32 custom dimensions in units of their own. No float decides anything:
// [Cores] turns one into millicores at the border and refuses NaN, infinities
// and what is negative. Add and Sub return errors instead of wrapping round.
//
//	text                           meaning
//	cpu=4 cpu=1.5 cpu=500m         cores and millicores
//	memory=8GiB disk=2TB           binary and decimal bytes, B and KB to TiB
//	network=10Gbps                 bps, kbps, Mbps, Gbps
//	gpu=2 gpu=250m gpu=0.25        devices and thousandths of one
//	licence=3                      custom, whole numbers
//
// [ParseResources] and [ParseQuantity] read these forms exactly, and what
// [Resources.String] writes reads back to the same value. JSON has numbers in base
// units and takes the text of an amount beside them: {"cpu":4000,"memory":"8GiB"}.
//
// The allocatable amount of a node is Capacity minus Reserved, times the [Ratio] in
// Overcommit if there is one. GPUs are devices: a node has a Count of one Model, visible
// as the read-only label [LabelGPUModel]; a request asks for whole devices or
// for a fraction of one, and each device must fit, not their sum. Which ones
// are taken is the rule of [ChooseDevices]. A device in Broken takes nothing new and
// is no capacity; what uses it stays.
//
// # Ports
//
// A [Port] is a number of TCP or UDP, on all addresses of a node. The text of the
// latter is 53/udp. Request.Ports names those that an instance claims: two
// instances with the same one never share a node. Request.DynamicPorts asks for so
// many more, whichever: they are the lowest numbers of the node's range that it does
// not reserve and that nobody there has of either protocol, and belong to the
// instance in both. A node never gives one of its ReservedPorts, and gives dynamic
// ports only if it has a range. Slots of reservations hold no ports; an instance gets
// its own when it claims one.
//
// # Constraints
//
// A [Constraint] is a condition on labels. It filters nodes
// ([Preferences.Require]), attracts or repels softly with a weight
// ([Preferences.Prefer]), and selects instances in affinity and spread rules.
//
//	rule                                   text                           label missing
//	Equal("disk", "ssd")                   disk = ssd                     no
//	NotEqual("disk", "ssd")                disk != ssd                    holds
//	In("region", "us", "eu")               region in (eu, us)             no
//	NotIn("region", "us", "eu")            region notin (eu, us)          holds
//	Exists("ssd")                          ssd exists                     no
//	NotExists("ssd")                       ssd notexists                  holds
//	Greater("cores", 8)                    cores > 8                      no
//	Less("cores", 64)                      cores < 64                     no
//	Version("kernel", ">= 5.4, < 7")       kernel version ">= 5.4, < 7"   no
//	SemVer("agent", ">= 1.4.0-rc.1")       agent semver ">= 1.4.0-rc.1"   no
//	Matches("host", "^db-")                host matches "^db-"            no
//	And(a, Or(b, Not(c)))                  a = 1 and (b = 2 or not (c exists))
//
// The text is the only encoding of a constraint, in JSON as elsewhere;
// [ParseConstraint] reads it. Patterns are RE2, integers are decimal int64.
// [Version] compares the numbers that a version begins with and ignores what
// follows them, which is how drivers, kernels and distributions are numbered;
// [SemVer] orders versions as semver.org says, with pre-releases. A label that
// cannot be read does not satisfy the operator, and a refusal names its value.
//
// # Taints
//
// A [Taint] keeps away instances that do not tolerate it. NoSchedule and NoExecute
// refuse the node. PreferNoSchedule lowers its score. NoExecute asks running
// instances to leave as well.
//
// A [Toleration] covers a taint of the same key, and of the same value unless
// Exists is set. It covers one effect or all. An empty key covers all taints.
// [EvictionDelay] returns how long an instance may stay under a NoExecute taint:
//
//	matching tolerations            the instance leaves
//	none                            at once
//	all without Seconds             never
//	some with Seconds               after the least of them
//
// counted from the later of the instant it was placed and the instant the
// taint was added. The text forms are key=value:Effect for taints and, for
// tolerations, key=value, key or *, with :Effect and " for 300s" if wanted.
//
// # Affinity and spread
//
// An [AffinityTerm] looks at the instances that its selector and namespaces
// choose, and at the topology domain (the nodes with the same value of a
// label; each node is one if no label is named) in which they run:
//
//	Attract(s).Within("zone")                   only zones that hold a match
//	Repel(s).Within("rack")                     only racks that hold none
//	Attract(s).Within("zone").Weighing(50)      rather zones that hold a match
//	Repel(s).Weighing(50)                       rather nodes that hold none
//
// A required anti-affinity is symmetric: no instance that it selects joins its
// domain later. The first instance of a group has no match yet: if it matches its
// own required affinity and nothing else does, any node with the label will do.
//
// A [SpreadRule] divides the instances of a group, or those that a selector
// counts in the request's namespace:
//
//	EvenlyOver("zone", 1)                       no zone more than 1 ahead of the emptiest
//	EvenlyOver("zone", 1).Needing(3)            and the emptiest counts 0 until there are 3
//	EvenlyOver("zone", 1).Weighing(50)          rather the zones with fewer
//	AtMostPer("rack", 2)                        never more than 2 in a rack
//	ShareOver("dc", {"a": 70, "b": 30}, 50)     rather where the share is not reached
//
// A rule needs a group of the request, or a selector. A domain exists if a ready,
// uncordoned, tolerated node that meets the required constraints has the label; for
// the number that Needing asks, a domain also counts whose nodes are all cordoned,
// closed, lost or unreported. A node that maintenance is to close later counts until
// it is closed. Hard rules refuse nodes without the label.
//
// # Spellings elsewhere
//
// Kubernetes:
//
//	requests: cpu 500m, memory 8Gi         Resources{CPU: 500, Memory: 8 * GiB}; as text 8GiB
//	ephemeral-storage                      Resources.Disk
//	nvidia.com/gpu: 2                      Resources{GPU: 2 * Device}
//	extended resource example.com/fpga     Resources.Custom["example.com/fpga"]
//	status.allocatable; max pods           Node.Allocatable; Node.MaxInstances
//	hostPort                               Request.Ports, on all addresses of the node: there is no hostIP
//	PriorityClass value                    Request.Priority. Nothing is evicted for it: Explain of package
//	                                       scheduler says where releasing lower ones would help
//	nodeSelector: {disktype: ssd}          Require(Equal("disktype", "ssd"))
//	nodeAffinity, required                 Require(…)
//	  In, NotIn, Exists, DoesNotExist        In, NotIn, Exists, NotExists
//	  Gt, Lt                                 Greater, Less
//	  several nodeSelectorTerms              Or(And(…), And(…))
//	  matchFields metadata.name              a label, or Scheduler.Allocate
//	nodeAffinity, preferred, weight: 50    Prefer(…, 50)
//	extender or plugin that scores nodes   PreferScaled(label, weight), of a label that the program keeps at
//	                                       0 to 1000. Nothing of the program runs while a decision is made
//	podAffinity, required                  Near(Attract(selector).Within(topologyKey)). Terms are judged
//	                                       one by one: no pod needs to match all of them
//	podAntiAffinity, required              Near(Repel(selector).Within(topologyKey))
//	  preferred, weight: 50                  .Weighing(50). It asks whether there is a match, not how many,
//	                                         and looks only from the newcomer: what runs does not avoid it
//	  namespaces: [a, b]                     .Among("a", "b")
//	  namespaceSelector: {}                  .Among(AllNamespaces); else name them
//	  matchLabelKeys: [version]              And(selector, Equal("version", …))
//	topologySpreadConstraints              Across(EvenlyOver(topologyKey, maxSkew).Counting(selector)), or
//	                                       without Counting over the request's Group
//	  minDomains: 3                          .Needing(3)
//	  whenUnsatisfiable: ScheduleAnyway      .Weighing(weight)
//	  nodeAffinityPolicy, nodeTaintsPolicy   Honor, both (Kubernetes ignores taints by default), for which domains
//	                                         exist. Their counts include instances on nodes that the request
//	                                         may not use; those of Kubernetes leave them out
//	taint key=value:NoSchedule             Taint{"key", "value", NoSchedule}
//	toleration, operator Equal             TolerateEqual(key, value)
//	toleration, operator Exists            TolerateExists(key), of every key TolerateExists("")
//	  effect: NoExecute                      .OnlyFor(NoExecute)
//	  tolerationSeconds: 300                 .AtMost(300); 0 is without limit, not at once
//	MostAllocated, LeastAllocated          Use(BinPack), Use(Spread). Both look at every dimension, asked or not,
//	                                       and Spread at the instances of the Group first, if there is one
//
// Nomad:
//
//	cores = 2, memory = 256                Resources{CPU: 2 * Core, Memory: 256 * MiB}. CPU is an amount: no
//	                                       core belongs to one instance alone
//	device "nvidia/gpu" { count = 2 }      Resources{GPU: 2 * Device}
//	  ${device.model}                        Equal(LabelGPUModel, …)
//	client reserved, reserved_ports        Node.Reserved, Node.ReservedPorts
//	static port                            Request.Ports, of one protocol
//	dynamic port                           Request.DynamicPorts, from Node.DynamicPorts
//	datacenters, node_pool                 Require(In("datacenter", …)), Require(Equal("pool", …)), of labels
//	                                       that nodes are given; wildcards are Matches
//	constraint =, !=                       Equal, NotEqual
//	constraint >, <                        Greater, Less, of integers alone: Nomad compares other values as
//	                                       floats or as text
//	constraint >=, <=                      Greater(key, n-1), Less(key, n+1)
//	constraint is_set, is_not_set          Exists, NotExists
//	constraint regexp                      Matches
//	constraint version                     Version, which ignores pre-releases; "~> 1.4" is ">= 1.4, < 2"
//	constraint semver                      SemVer
//	constraint set_contains                And, set_contains_any Or, of Matches(key, `(^|,)\s*a\s*(,|$)`), with
//	                                       a quoted for RE2
//	distinct_hosts = true                  Across(AtMostPer("", 1)) in a request with a Group
//	distinct_property, value = 2           Across(AtMostPer(property, 2)) in a request with a Group
//	affinity, weight = -50                 Prefer(…, -50). Nomad divides by the sum of the weights; here each
//	                                       keeps its own
//	spread with targets                    Across(ShareOver(attribute, percentages, weight)), what is
//	                                       missing to 100 for the other values
//	spread without targets                 Across(EvenlyOver(attribute, 1).Weighing(weight))
//	scheduler_algorithm                    Use(BinPack), Use(Spread), chosen by each request. Spread looks at the
//	                                       instances of the Group first, if there is one
//
// SwarmKit:
//
//	node.labels.disk==ssd, !=              Require(Equal("disk", "ssd")), NotEqual. They tell cases apart, as
//	                                       SwarmKit does not; Matches("disk", "^(?i:ssd)$") ignores case
//	--placement-pref spread=…              Across(EvenlyOver(label, 1).Weighing(weight))
//	--replicas-max-per-node 2              Across(AtMostPer("", 2)) in a request with a Group
//	--generic-resource fpga=1              Resources.Custom["fpga"]
//
// Slurm, each task of a job being one request:
//
//	--cpus-per-task=2 --mem=4G             Resources{CPU: 2 * Core, Memory: 4 * GiB}. --mem is what a job has
//	                                       on a node, this what an instance has; no core is pinned
//	--gpus-per-node=2, --gres=gpu:2        Resources{GPU: 2 * Device}. --gpus=2 counts over the whole job: two
//	                                       requests for a Device each
//	--gres=gpu:a100:1                      Resources{GPU: Device}, Require(Equal(LabelGPUModel, "a100"))
//	--gres=shard:1, of 4 a GPU             Resources{GPU: Device / 4}, always of one device
//	--constraint="ssd&fast"                Require(Exists("ssd"), Exists("fast")): a feature is a label without
//	                                       a value
//	--constraint="ssd|fast"                Require(Or(Exists("ssd"), Exists("fast")))
//	--constraint="[r1|r2]"                 Require(In("rack", "r1", "r2")) and, to keep the job in one of them,
//	                                       Near(Attract(Equal("job", id)).Within("rack")), in requests that
//	                                       have the label job themselves
//	--prefer=fast                          Prefer(Exists("fast"), 100)
//	Weight=10 of a node                    Use(Affinity).PreferScaled("weight", -1), of a label: the least weight
//	                                       comes before all else, as with Slurm
//	--nodelist=a, --exclude=a              Require(In("host", "a")), NotIn, of a label that nodes are given.
//	                                       Slurm may add nodes to a list that is too short; this adds none
//	--ntasks=8                             eight requests, each placed by itself. For all or none, a reservation
//	                                       of eight slots (Reserve of package scheduler) and a claim of each
//	--ntasks-per-node=2                    Across(AtMostPer("", 2)) in requests with a Group. It is the most of
//	                                       a node, as with --ntasks, and asks for no number of nodes
//	--exclusive                            Near(Repel(NotEqual("job", id)).Among(AllNamespaces)), in requests that
//	                                       have the label job themselves. They use, and are charged, what they
//	                                       ask for, not the whole node
//	  --exclusive=user                       the same of a label user
//	--spread-job                           Use(Spread) in requests with a Group
//	CR_LLN, LLN=YES                        Use(Spread) in requests without a Group
//	--time=1:00:00                         Request.Duration. An instance that stays longer is told as
//	                                       Overstayed and goes on; Slurm ends it
//	scontrol create reservation            Reserve, and for --reservation PlaceFromReservation, of package
//	                                       scheduler
//	CoreSpecCount=1, MemSpecLimit          Node.Reserved
//	OverSubscribe=FORCE:2                  Node.Overcommit of NameCPU, Ratio{2, 1}, for all requests alike
//	State=DRAIN                            Cordon of package scheduler
//
// Volcano, beside the rows of Kubernetes:
//
//	binpack plugin                         Use(BinPack), by what is used before the instance comes, of every
//	                                       dimension; Volcano adds the pod and leaves out what it does not ask
//	  binpack.cpu: 5                         Config.Weights of package scheduler, for BinPack and Spread
//	nodeorder: most-, leastrequested       Use(BinPack), Use(Spread). A request has one of them, not a sum
//	  nodeaffinity, podaffinity weight       the weight of each rule: Prefer(…, weight), .Weighing(weight)
//	usage plugin                           PreferScaled("usage", -weight), Require(Less("usage", 800)), of a label
//	                                       that the program keeps
//	predicates plugin                      Require, tolerations, Ports and the like. None can be switched off
//	volcano.sh/gpu-number: 2               Resources{GPU: 2 * Device}
//	volcano.sh/gpu-memory: 4096            Resources{GPU: 250} where devices have 16 GiB: a share of one device,
//	                                       which the caller works out
//	task-topology-affinity: "ps,worker"    Near(Attract(Equal("task", "worker")).Weighing(weight)) in ps, and the
//	                                       other way round in worker; with And, of the same job alone
//	task-topology-anti-affinity: "ps"      Near(Repel(Equal("task", "ps")).Weighing(weight))
//	minAvailable: 3                        a reservation of three slots (Reserve of package scheduler): all of
//	                                       them or none
//
// # Refusal
//
// A node that fails several rules is counted under the first in filter order:
// its state, taints, required constraints in their order, instances, ports,
// CPU, memory, disk, network, GPU, custom dimensions by name, affinity,
// anti-affinity, spread, and last what reservations hold. A [Reason] names such a
// rule and [CompareReasons] puts reasons in that order.
//
// # Score
//
// Feasible nodes are ordered by S = 100·R + W·G, the greatest first, then by
// who joined first. R is the term of the strategy and G the sum of the soft
// terms; all are integers, and none depends on which nodes are feasible, so
// that one index serves every request. 2²⁰ is [Unit].
//
// Each node is measured by its own size, as Kubernetes and Nomad do, and each GPU
// by itself: a free GPU is worth as much as all of a node's CPU and memory.
//
//	q  ⌊max(0, free) · 2²⁰ / allocatable⌋ of a dimension, free before placement, 0
//	   where the node has none; FreeShare
//	D  ⌊max(0, free) · 2²⁰ / 1000⌋, the free GPUs; FreeDevices
//	w  2 for GPUs, 1 for others; DefaultWeight and Scale.Weights
//	K  Σ w·q + w·D over every dimension, asked for or not
//	W  Σ w + w · the most GPUs of one node, over the dimensions that present nodes
//	   have: K is at most W·2²⁰; Scale
//
// All dimensions count, asked or not, so that work without GPUs keeps off nodes
// with many free ones. Nothing of the score outlasts the nodes that it is of: a
// node that comes and goes leaves the order of the others as it was. W matters
// where a soft term is weighed against R, and to no order without one. What shares
// cost: where all requests are large and nodes differ, more is left over on the
// large nodes than a fit by absolute amounts would leave.
//
// The terms:
//
//	term                   range       weight     formula                            source
//	strategy BinPack       0 to W·2²⁰  100        R = W·2²⁰ − K                      best fit; Kubernetes MostAllocated
//	strategy Spread        0 to W·2²⁰  100        R = K, but W·2²⁰ − K over the GPU  Kubernetes LeastAllocated
//	                                              and custom dimensions not asked
//	preferred constraint   0 or 2²⁰    ±1 to 100  2²⁰ where it holds                 Kubernetes NodeAffinity, Nomad affinity
//	scaled label           0 to 2²⁰    ±1 to 100  ⌊number · 2²⁰ / 1000⌋              Kubernetes extender, Score plugin
//	weighted affinity      0 or 2²⁰    1 to 100   2²⁰ where the domain has a match   Kubernetes InterPodAffinity
//	weighted anti-affinity 0 or 2²⁰    −1 to −100 2²⁰ where the domain has a match   Kubernetes InterPodAffinity
//	PreferNoSchedule       0 or 2²⁰    −100       2²⁰ where one is not tolerated     Kubernetes TaintToleration
//	soft MaxSkew           0 to 2²⁰    1 to 100   ⌊2²⁰ / (1 + c − cmin)⌋             Kubernetes ScheduleAnyway
//	target percentage      0 to 2²⁰    1 to 100   ⌊2²⁰ / (1 + excess)⌋               Nomad spread
//
// where c is the count of the domain, cmin the smallest count of any, and
// excess what the domain would have, with the new instance, above
// ⌈percent · instances / 100⌉. A node without the label earns 0.
//
// A [ScaledLabel] is how a program brings in what only it knows, as price, measured
// load, temperature or the distance of data: it keeps a label of each node at an
// integer from 0 to 1000, and the requests that care say what the number is worth.
// Any other value counts as 0; Explain of package scheduler tells it.
//
// A weight therefore has a meaning: a rule of weight w outweighs w per cent of
// the whole scale of the strategy, and one of weight 100 outweighs the
// strategy entirely. [Score] computes S, [Terms.Normalized] shows it between
// its bounds as 0 to 1000 for people, and [ScoreBinPack] and [ScoreSpread]
// show R so.
//
// The strategies differ in what they compare:
//
//	BinPack             S, R of BinPack
//	Spread              the fewest instances of the namespace and group, then S, R of Spread
//	Random              G, then a draw among the best
//	Affinity            G, then R of BinPack
//	LeastFragmentation  G, then the loss of use of the free GPUs for the typical mix in
//	                    steps of 0.04 of a GPU, rounded up, then −K
//
// # Limits
//
// Validate bounds what a request or a node holds. This bounds the memory and the
// time that each costs, whoever sends it:
//
//	IDs, names and keys                    256 bytes    MaxIDBytes
//	values of labels, taints, constraints  1 KiB        MaxValueBytes
//	rules of a request, taints of a node   256          MaxRules
//	ports of a request                     1,024        MaxPorts
//	a request or a node, as JSON           64 KiB       MaxEncodedBytes
//
// The text of an error shows 256 bytes of a longer value. A call takes time in
// proportion to what the values that it is given hold, unless its comment says
// otherwise, and to nothing else.
//
// # Concurrency
//
// There is no state, no lock and no goroutine. A [Constraint] never changes, and
// the builders return new values. Any number of goroutines may read the same
// value. Before writing into a map or slice of a value, copy it: Clone and
// [Node.Canonical] return copies that share nothing.
//
// # Determinism
//
// Nothing here reads a clock, the environment or a random source, and nothing
// depends on the order of a map: texts, JSON, errors and iteration are sorted.
// All arithmetic is on integers, in 128 bits where a product needs them, so
// that a decision is the same on every machine.
//
// # What it does not do
//
// It knows no cluster: which node fits, which devices are taken, what runs in
// a domain and when a deadline is due are the business of package scheduler.
// It reads no manifests of other systems. It has no notion of clock rates
// (MHz), NUMA nodes or bandwidth between nodes; a label or a custom dimension
// may stand for them. It does not restrict IDs, label keys or label values
// beyond being UTF-8, of bounded length and, for IDs and keys, not empty.
package placement
