package core

// Local returns the value that a recipe keeps with the session under a key, which only that recipe
// uses. If there is none, it is the one that make returns. Two first calls may both call make.
func Local(s *Session, key any, make func() any) any {
	if v, ok := s.locals.Load(key); ok {
		return v
	}
	v, _ := s.locals.LoadOrStore(key, make())
	return v
}
