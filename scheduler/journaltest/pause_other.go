//go:build !unix

package journaltest

import "os"

// pause would stop a process until resume.
func pause(*os.Process) error { return errUnsupported }

func resume(*os.Process) error { return errUnsupported }
