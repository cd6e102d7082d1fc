// Package cluster runs one member of an election over TCP, made from one list of
// addresses, one folder and three TLS files. It is for a service that needs one
// leader and nothing else.
//
// Most users need [Config] and [Run]. Run takes part in the cluster until its ctx
// ends, and runs a function of the service beside that, which gets the [Node].
//
//	err := cluster.Run(ctx, cluster.Config{
//		Name: "orders", ID: "a", Dir: "/var/lib/orders",
//		Peers: map[string]string{"a": "10.0.0.1:7000", "b": "10.0.0.2:7000", "c": "10.0.0.3:7000"},
//		TLS:   tcp.TLSFiles{Certificate: "tls.crt", Key: "tls.key", Authorities: "ca.crt"},
//	}, func(ctx context.Context, node *cluster.Node) error {
//		return node.WhileLeader(ctx, work) // func(ctx context.Context, token uint64) error
//	})
//
// A service that has its own transport, store or clock uses raft.New instead: Run
// does nothing else than connect package raft with package transport/tcp.
//
// # When the membership changes
//
// A member's stored state wins over Peers, from which only addresses are taken
// then. To add a member, list it in the Peers of all, start it with Join, and call
// SetPeer of each running [Node]'s Transport before AddMember on the leader; those
// that start later find it in their Peers. Package raft says how members are
// replaced and removed.
//
// # Concurrency
//
// Run may be called for several members in one process. It leaves no goroutine
// behind, but for one that raft.Node.Run has to.
//
// # What it does not do
//
// It does not find members by itself, nor issue certificates. It does not tell the
// members where each serves its clients: a service that redirects to the leader
// knows that by the leader's name.
package cluster
