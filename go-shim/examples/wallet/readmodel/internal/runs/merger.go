package runs

import "sync"

// merger does the large merges of a store, one after the other, on a goroutine that exists only while there are some.
type merger struct {
	mu      sync.Mutex
	idle    sync.Cond
	waiting []*Log
	queued  map[*Log]bool
	running bool
}

func (m *merger) init() {
	m.idle.L = &m.mu
	m.queued = make(map[*Log]bool)
}

// queue asks for the merges of a log.
func (m *merger) queue(s *Store, l *Log) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.queued[l] {
		return
	}
	m.queued[l] = true
	m.waiting = append(m.waiting, l)
	if !m.running {
		m.running = true
		go s.mergeAll()
	}
}

// next returns a log with merges to do, or nil after the last; the goroutine must end then.
func (m *merger) next() *Log {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.waiting) == 0 {
		m.waiting, m.running = nil, false
		m.idle.Broadcast()
		return nil
	}
	l := m.waiting[0]
	m.waiting = m.waiting[1:]
	// What is sealed from now on may make more merges due.
	delete(m.queued, l)
	return l
}

func (s *Store) mergeAll() {
	for l := s.merger.next(); l != nil; l = s.merger.next() {
		for {
			series, group := s.overdue(l.newest.Load().long)
			if group == nil {
				break
			}
			l.replace(series, group, merge(group, s.shape.Indexed))
		}
	}
}

// Settle waits until no large merge is left to do.
func (s *Store) Settle() {
	s.merger.mu.Lock()
	defer s.merger.mu.Unlock()
	for s.merger.running {
		s.merger.idle.Wait()
	}
}
