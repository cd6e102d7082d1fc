package journaltest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"

	"github.com/rads-project/constellation/scheduler"
)

func hostChecks() []check {
	return []check{
		{"KilledProcess", "A process that is killed after Acquire, or while it appends, keeps nobody out, and what it was told is there.", killedProcess},
		{"PausedProcess", "A process that is paused while it appends keeps its successor out no longer than Config.TakeOver, " +
			"and appends nothing when it goes on.", pausedProcess},
		{"CutHost", "A host whose connection falls silent anywhere within an append keeps its successor out no longer " +
			"than Config.TakeOver.", cutHost},
	}
}

// Serve makes this process a host for the checks that pause and kill one: it
// carries out the commands that come on in, and writes each outcome to out as a
// line. It returns at the end of in. See Config.Command.
func Serve(ctx context.Context, j scheduler.Journal, in io.Reader, out io.Writer) error {
	for lines := bufio.NewScanner(in); lines.Scan(); {
		answer := "done"
		if err := serve(ctx, j, lines.Text(), out); err != nil {
			answer = strings.ReplaceAll("failed: "+err.Error(), "\n", "; ")
		}
		if _, err := fmt.Fprintln(out, answer); err != nil {
			return err
		}
	}
	return nil
}

// serve carries out one command, and writes the Seq of each entry that was appended.
func serve(ctx context.Context, j scheduler.Journal, line string, out io.Writer) error {
	var (
		command         string
		token, from, to uint64
	)
	if _, err := fmt.Sscan(line, &command, &token, &from, &to); err != nil {
		return fmt.Errorf("journaltest: command %q: %w", line, err)
	}
	if command == "acquire" {
		return j.Acquire(ctx, token)
	}
	for seq := from; seq <= to; seq++ {
		if err := j.Append(ctx, token, []scheduler.Record{entry(seq)}); err != nil {
			return err
		}
		if _, err := fmt.Fprintln(out, seq); err != nil {
			return err
		}
	}
	return nil
}

// child is a process that serves.
type child struct {
	command *exec.Cmd
	in      io.WriteCloser
	out     *bufio.Scanner
}

func (r *rig) start() (*child, error) {
	if r.cfg.Command == nil {
		return nil, errUnsupported
	}
	c := &child{command: r.cfg.Command()}
	in, inErr := c.command.StdinPipe()
	out, outErr := c.command.StdoutPipe()
	if err := errors.Join(inErr, outErr, c.command.Start()); err != nil {
		return nil, err
	}
	c.in, c.out = in, bufio.NewScanner(out)
	return c, nil
}

func (c *child) send(command string, token, from, to uint64) error {
	_, err := fmt.Fprintln(c.in, command, token, from, to)
	return err
}

// line returns what the child says next.
func (c *child) line() (string, error) {
	if !c.out.Scan() {
		return "", fmt.Errorf("the process says nothing more: %w", errors.Join(c.out.Err(), io.ErrUnexpectedEOF))
	}
	return c.out.Text(), nil
}

// acquire has the child acquire.
func (c *child) acquire(token uint64) error {
	if err := c.send("acquire", token, 0, 0); err != nil {
		return err
	}
	if answer, err := c.line(); err != nil || answer != "done" {
		return fmt.Errorf("the process was to acquire %d: %s: %w", token, answer, err)
	}
	return nil
}

// readTo reads acknowledgements up to that of a Seq.
func (c *child) readTo(seq uint64) error {
	for want := fmt.Sprint(seq); ; {
		answer, err := c.line()
		if err != nil || answer == want {
			return err
		}
		if strings.HasPrefix(answer, "failed") {
			return errors.New(answer)
		}
	}
}

// kill ends the process as kill -9 does.
func (c *child) kill() {
	_ = c.command.Process.Kill()
	_ = c.command.Wait()
}

// forEver is more entries than a child ever gets to append.
const forEver = 1 << 40

func killedProcess(r *rig) error {
	token, last := uint64(0), uint64(0)
	for round := range uint64(4) {
		c, err := r.start()
		if err != nil {
			return err
		}
		defer c.kill()
		token++
		if err := c.acquire(token); err != nil {
			return err
		}
		acked := last
		if round > 0 {
			acked += 10 * round
			if err := errors.Join(c.send("append", token, last+1, forEver), c.readTo(acked)); err != nil {
				return err
			}
		}
		c.kill()
		token++
		if last, err = r.succeed(token, acked); err != nil {
			return err
		}
	}
	return nil
}

// succeed acquires, in time, and appends an entry. It returns the last Seq.
func (r *rig) succeed(token, acked uint64) (uint64, error) {
	ctx, cancel := context.WithTimeout(r.ctx, r.cfg.TakeOver)
	defer cancel()
	r.reopen()
	if err := r.journal.Acquire(ctx, token); err != nil {
		return 0, fmt.Errorf("the successor was kept out: %w", err)
	}
	got, err := read(ctx, r.journal)
	if err != nil {
		return 0, err
	}
	last := uint64(len(got))
	if err := same(got, entries(1, last)); err != nil {
		return 0, err
	}
	if last < acked {
		return 0, fmt.Errorf("%d entries were acknowledged, and %d are there", acked, last)
	}
	return last + 1, errors.Join(r.journal.Append(ctx, token, entries(last+1, last+1)), r.holds(entries(1, last+1)...))
}

func pausedProcess(r *rig) error {
	if r.cfg.PausedBlocks {
		return errUnsupported
	}
	token, last := uint64(0), uint64(0)
	for round := range uint64(10) {
		c, err := r.start()
		if err != nil {
			return err
		}
		defer c.kill()
		token++
		acked := last + 20 + 3*round
		err = errors.Join(c.acquire(token), c.send("append", token, last+1, forEver), c.readTo(acked), pause(c.command.Process))
		if err != nil {
			return err
		}
		token++
		if last, err = r.succeed(token, acked); err != nil {
			return err
		}
		if err := errors.Join(resume(c.command.Process), c.readTo(forEver)); err == nil || !strings.Contains(err.Error(), "fenced") {
			return fmt.Errorf("the process that had been paused: want it fenced, got %w", err)
		}
		if err := r.holds(entries(1, last)...); err != nil {
			return fmt.Errorf("once the paused process went on: %w", err)
		}
	}
	return nil
}

// cutStep is at most the length of the shortest message of the protocols of
// databases, so that none is passed over.
const cutStep = 5

func cutHost(r *rig) error {
	if r.cfg.Cut == nil {
		return errUnsupported
	}
	if err := r.acquire(1); err != nil {
		return err
	}
	token, last := uint64(1), uint64(0)
	for after := 0; ; after += cutStep {
		host, cut := r.cfg.Cut()
		token++
		if err := errors.Join(host.Acquire(r.ctx, token), host.Append(r.ctx, token, entries(last+1, last+1))); err != nil {
			return err
		}
		ctx, cancel := context.WithCancel(r.ctx)
		silent, outcome := cut(after), make(chan error, 1)
		go func() { outcome <- host.Append(ctx, token, entries(last+2, last+2)) }()
		var got error
		select {
		case got = <-outcome:
			cancel()
			return got // all of it got through
		case <-silent:
		}
		token++
		next, err := r.succeed(token, last+1)
		cancel()
		got = <-outcome
		if err != nil {
			return fmt.Errorf("silent after %d bytes: %w", after, err)
		}
		if got == nil {
			return fmt.Errorf("an append returned nil though its connection fell silent after %d bytes", after)
		}
		last = next
	}
}
