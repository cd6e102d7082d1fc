// Package index finds the best node for a request.
package index
