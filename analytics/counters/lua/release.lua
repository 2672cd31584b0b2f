-- needs: _start _window _release
-- The end of a request that reserved nothing.
return {}
