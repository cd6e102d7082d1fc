// Package placement holds the nouns and the pure rules of scheduling.
package placement
