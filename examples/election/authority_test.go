package main

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rads-project/constellation/internal/testcert"
)

// authority signs the certificates of members.
type authority struct {
	*testcert.Authority
	file string // its own certificate
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	signs, err := testcert.NewAuthority(time.Now())
	require.NoError(t, err)
	dir := t.TempDir()
	require.NoError(t, signs.WriteFiles(dir, 1, "nobody"))
	return &authority{signs, filepath.Join(dir, "ca.crt")}
}

// issue returns files with a certificate for a member, and its key.
func (a *authority) issue(t *testing.T, name string) (certificate, key string) {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, a.WriteFiles(dir, 2, name))
	return filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
}
