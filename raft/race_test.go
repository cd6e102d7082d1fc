//go:build race

package raft

// RaceEnabled says that everything takes about ten times as long.
const RaceEnabled = true
