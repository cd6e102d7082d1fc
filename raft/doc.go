// Package raft elects one leader among the members of a cluster.
package raft
