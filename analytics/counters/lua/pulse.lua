-- needs: _start _money
-- Answers: whole since or -1, token of the rebuild under way.
return {whole_since() or -1, marked()}
