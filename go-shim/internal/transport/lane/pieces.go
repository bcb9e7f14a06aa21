package lane

// pieces holds the part of a long reply that has come. A lane has one such reply at a time, so the longest message
// bounds it. Only the reader uses it.
type pieces struct {
	id   uint64
	body []byte
}

// add keeps a piece. The whole reply may have at most most bytes.
func (p *pieces) add(r *reply, most int) error {
	if len(p.body) > 0 && p.id != r.id {
		return broken(Garbage, "a piece of %#x before the end of %#x", r.id, p.id)
	}
	if len(p.body)+len(r.body) > most {
		return broken(Limit, "a reply of more than %d bytes", most)
	}
	p.id, p.body = r.id, append(p.body, r.body...)
	return nil
}

// of gives away the pieces that came before the end of a reply. Most replies have none.
func (p *pieces) of(id uint64) []byte {
	if len(p.body) == 0 || p.id != id {
		return nil
	}
	body := p.body
	*p = pieces{}
	return body
}
