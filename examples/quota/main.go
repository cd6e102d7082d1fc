// Quota tells a day of two teams that share the quota of an organisation: a
// burst that ends, a refusal with its whole reason, and a limit that is lowered
// below usage. The time is passed in: the day runs in a moment and always in
// the same way.
//
//	go run ./examples/quota
package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/rads-project/constellation/quota"
)

func main() {
	if err := run(os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run tells the day.
func run(w io.Writer) error {
	d := &day{now: time.Date(2030, 1, 7, 9, 0, 0, 0, time.UTC)}
	ledger, err := quota.New(quota.Config{
		Now:          func() time.Time { return d.now },
		RequireQuota: true,
		Specs:        specs(),
	})
	if err != nil {
		return err
	}
	d.ledger = ledger
	told := d.tell()
	_, err = io.WriteString(w, d.out.String())
	return errors.Join(told, err)
}
