package service

// Deafen makes this replica believe that it has just heard of every change of
// a session, and that there was none.
func (s *Sessions) Deafen() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.heard = s.now()
	clear(s.changed)
}
