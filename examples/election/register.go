package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"
)

// registerTimeout bounds the connecting to a register and each write to it.
const registerTimeout = time.Second

// errRefused says that the register did not take the token.
var errRefused = errors.New("register refuses the token")

// register is a connection with a register. It gets lines "token name" and
// answers each with "ok" or with what is wrong.
type register struct {
	conn    net.Conn
	answers *bufio.Reader
}

// dialRegister connects with the register at an address or at a path.
func dialRegister(ctx context.Context, address string) (*register, error) {
	ctx, cancel := context.WithTimeout(ctx, registerTimeout)
	defer cancel()
	network := "tcp"
	if strings.Contains(address, "/") {
		network = "unix"
	}
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return &register{conn, bufio.NewReader(conn)}, nil
}

func (r *register) close() { _ = r.conn.Close() }

// write writes the token, or fails with errRefused if a higher one was there.
func (r *register) write(token uint64, name string) error {
	if err := r.conn.SetDeadline(time.Now().Add(registerTimeout)); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(r.conn, "%d %s\n", token, name); err != nil {
		return err
	}
	answer, err := r.answers.ReadString('\n')
	if err != nil {
		return err
	}
	if answer != "ok\n" {
		return fmt.Errorf("%w %d: %s", errRefused, token, strings.TrimSpace(answer))
	}
	return nil
}
