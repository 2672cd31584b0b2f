-- needs: _start _money
-- ARGV[3..]: token, ttl.
if marked() ~= '' then return 0 end
if not whole_since() then redis.call('DEL', MONEY, HELD, OPEN, LAPSED) end
redis.call('DEL', LATE, TOLD)
redis.call('HSET', HELD, RUN, ARGV[2])
redis.call('HSET', MONEY, 'run', ARGV[2], 'token', ARGV[3], 'until', now + tonumber(ARGV[4]), 'began', now)
return 1
