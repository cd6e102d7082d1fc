// Package sim runs a cluster of the real [raft.Core] in virtual time among
// faults drawn from a seed, and checks after every step what must hold whatever
// happens. It is made for tests.
//
// A [World] is the cluster: for each node a clock with its own rate and origin, a
// disk that takes time and can fail in the middle of a save, and a process that
// can crash, stop, pause and start again; between them a network after
// [faultnet.Model]. A node carries out effects as raft's shell does, in the order
// of rule 12. A [Mix] says which faults befall a world and how often, and a
// [Trial] is a mix under one seed: faults for a while, then calm.
//
// The oracles are numbered:
//
//	O1  a term has one leader, forever
//	O2  a node's term never decreases
//	O3  a node votes for one candidate in a term, whatever happens to it, but that a
//	    vote for itself goes with its disk
//	O4  what a message claims is on its sender's disk
//	O5  heartbeats of a term come from its winner alone
//	O6  two leases are never valid at one instant of true time
//	O7  the application's reigns begin and end in turn, with growing tokens
//	O8  what the application was told last is true
//	O9  in calm a leader is found and stays
//	O10 a restart would keep a node silent for as long as it is bound
//	O11 a witness never stands for election, nor reigns where there is a log
//	O12 no two nodes apply different entries of the log at one index
//	O13 a reign begins with all applied that was committed in terms before
//	O14 in calm all members have applied all that was committed
//
// # Concurrency
//
// Nothing in the package starts a goroutine, and nothing is shared between two
// worlds. A World is for one goroutine at a time.
//
// # Determinism
//
// The same trial takes the same steps: its report, with the hash of everything
// that happened, is the same bit for bit. A broken oracle comes as an [OracleError]
// that names the seed; running that trial again with a transcript shows how it
// came about. TestSimulation in package raft does that for CONSTELLATION_SEED.
//
// # What it does not do
//
// It does not run raft.Node: goroutines, timers and files are tested where they are. It
// loses a disk only with all of its record, and brings another in as raft's
// documentation says; a backup that it puts back is as new as the record but for the
// incarnation. Safety assumes no less of the disks. And a random walk that finds
// nothing proves nothing, which is why the core is explored exhaustively as well.
package sim
