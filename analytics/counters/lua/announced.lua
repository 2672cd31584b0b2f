-- needs: _start _money
-- ARGV[3]: token. Answers: source and lines of each.
if marked() ~= ARGV[3] then return {} end
return redis.call('HGETALL', TOLD)
