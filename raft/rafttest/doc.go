// Package rafttest helps to test what is built on package raft.
package rafttest
