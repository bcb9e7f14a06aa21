package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2/hpack"
)

// feedMethod is in the headers of the connection that carries the feed.
const feedMethod = "/hotpath.v1.FeedService/Feed"

// proxy stands between walletd and its sidecar. It passes bytes on, except for those that it holds back or delays.
type proxy struct {
	listener net.Listener
	target   string
	// feedHeld and callsHeld hold back what walletd sends on the connection with the feed, and on the others.
	feedHeld, callsHeld atomic.Bool
	// delay is added to what the sidecar sends.
	delay atomic.Int64

	mu     sync.Mutex
	conns  map[net.Conn]bool
	closed bool
	group  sync.WaitGroup
}

const (
	chunkBytes = 32 << 10
	// lookEvery is how often a pump that is held looks whether it may go on.
	lookEvery = 2 * time.Millisecond
	// chunksDelayed is how many chunks of one connection may wait for their time.
	chunksDelayed = 256
)

func startProxy(socket, target string) (*proxy, error) {
	if err := os.Remove(socket); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("proxy: %w", err)
	}
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return nil, fmt.Errorf("proxy: %w", err)
	}
	p := &proxy{listener: listener, target: target, conns: make(map[net.Conn]bool)}
	p.group.Go(p.accept)
	return p, nil
}

func (p *proxy) close() {
	_ = p.listener.Close()
	p.mu.Lock()
	p.closed = true
	for conn := range p.conns {
		_ = conn.Close()
	}
	p.mu.Unlock()
	p.group.Wait()
}

func (p *proxy) accept() {
	for {
		caller, err := p.listener.Accept()
		if err != nil {
			return
		}
		sidecar, err := net.Dial("unix", p.target)
		if err != nil {
			_ = caller.Close()
			continue
		}
		if !p.keep(caller, sidecar) {
			return
		}
		p.group.Go(func() { defer p.drop(caller, sidecar); p.forth(caller, sidecar) })
		p.group.Go(func() { defer p.drop(caller, sidecar); p.back(sidecar, caller) })
	}
}

// keep remembers two connections. It closes them instead if the proxy is closed.
func (p *proxy) keep(pair ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, conn := range pair {
		if p.closed {
			_ = conn.Close()
			continue
		}
		p.conns[conn] = true
	}
	return !p.closed
}

func (p *proxy) drop(pair ...net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, conn := range pair {
		_ = conn.Close()
		delete(p.conns, conn)
	}
}

// has says whether a connection is still in use.
func (p *proxy) has(conn net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.conns[conn]
}

// forth passes on what walletd sends.
func (p *proxy) forth(caller, sidecar net.Conn) {
	mark := hpack.AppendHuffmanString(nil, feedMethod)
	held, buffer := &p.callsHeld, make([]byte, chunkBytes)
	// seen has the end of what came before, in case the mark is cut in two.
	var seen []byte
	for {
		n, err := caller.Read(buffer)
		if err != nil {
			return
		}
		if held == &p.callsHeld {
			seen = append(seen, buffer[:n]...)
			if bytes.Contains(seen, mark) {
				held = &p.feedHeld
			}
			seen = bytes.Clone(seen[max(0, len(seen)-len(mark)):])
		}
		for held.Load() && p.has(caller) {
			time.Sleep(lookEvery)
		}
		if _, err := sidecar.Write(buffer[:n]); err != nil {
			return
		}
	}
}

// late is a chunk with the time at which it may be passed on.
type late struct {
	due   time.Time
	bytes []byte
}

// back passes on what the sidecar sends, each chunk after the delay.
func (p *proxy) back(sidecar, caller net.Conn) {
	chunks := make(chan late, chunksDelayed)
	p.group.Go(func() {
		for chunk := range chunks {
			time.Sleep(time.Until(chunk.due))
			if _, err := caller.Write(chunk.bytes); err != nil {
				// The reader finds out by itself, and must not be kept from that.
				_ = sidecar.Close()
			}
		}
	})
	defer close(chunks)
	buffer := make([]byte, chunkBytes)
	for {
		n, err := sidecar.Read(buffer)
		if err != nil {
			return
		}
		chunks <- late{time.Now().Add(time.Duration(p.delay.Load())), bytes.Clone(buffer[:n])}
	}
}
