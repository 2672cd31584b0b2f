-- needs: _start _money
-- ARGV[3..]: token, ttl.
if ARGV[3] == '' or marked() ~= ARGV[3] then return 0 end
redis.call('HSET', MONEY, 'until', now + tonumber(ARGV[4]))
return 1
