// Package cow has a list and a map that are cloned in little time: clones share
// pages, and who changes a page that is shared copies that page first.
//
// A clone costs one pointer per page. What is kept in a page is copied as it is: what
// it points to is shared by all clones, and is to be replaced rather than changed.
//
// # Concurrency
//
// Clones may be used at the same time, each by one goroutine or, to read, by many.
// Clone counts as a change of what is cloned.
//
// # Determinism
//
// A Map is seeded afresh, so that nobody can choose keys that collide. The order of
// All differs from map to map: what is computed from it must not depend on that.
package cow

// Owner is who may change something shared in place: a page, or a record of a caller's own.
// Two are never the same, since it is not of size zero.
type Owner struct{ _ byte }
