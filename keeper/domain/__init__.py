"""The words of the business: pure values, no I/O, nothing imported from other rooms."""
